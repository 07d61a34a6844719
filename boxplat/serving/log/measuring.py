"""The log in the endpoint's metrics."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

# What a worker's log has done until now: records written, records dropped, whether it cannot write.
Measure = Callable[[int, int, bool], None]


def prometheus() -> Measure:
    """Keeps three metrics in the default registry, or in the folder that a server's workers share."""
    seen = [0, 0]

    def measure(records: int, dropped: int, stopped: bool) -> None:
        made = _metrics()
        made["records"].inc(records - seen[0])
        made["dropped"].inc(dropped - seen[1])
        made["stopped"].set(stopped)
        seen[:] = records, dropped

    return measure


@cache
def _metrics() -> dict[str, Any]:
    from prometheus_client import Counter, Gauge

    return {
        "records": Counter("boxplat_prediction_log_records", "Records written to the prediction log"),
        "dropped": Counter("boxplat_prediction_log_dropped", "Records for which there was no room in memory"),
        "stopped": Gauge("boxplat_prediction_log_stopped", "Workers that cannot write", multiprocess_mode="livesum"),
    }
