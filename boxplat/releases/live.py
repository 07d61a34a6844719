"""What the releases do now, from two readings of what the gateway and the servers count anyway.

The gateway's counters come over its own socket, the servers' from the files in which their processes keep them: no
server is asked anything, so that one that is busy is not held up and one that sleeps is not woken.
"""

from __future__ import annotations

import math
import re
import struct
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.core.paths import Paths
from boxplat.releases.gateway.admin import Admin
from boxplat.releases.gateway.applied import folder

WINDOW_SECONDS = 30.0
_RELEASE = r"cluster\.([^@]+)@([0-9]+)(?:-grpc)?\.upstream_rq_"
_WANTED = rf"^(server\.uptime|{_RELEASE}(completed|4xx|5xx|active|pending_active|retry|time))$"
_NAME = re.compile(rf"^{_RELEASE}(\w+)$")
_FILES = "histogram_*.db"
_BATCHES = "bentoml_service_adaptive_batch_size"
Which = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Live:
    """One release in the last `seconds`, which are at most 30; None stands for what cannot be known.

    `latest` is how many requests a second were answered since the reading before, which is what a graph wants.
    `requests` were answered, copies that a shadow got among them; `failed` with a status of 500 or above, by the
    release or by the gateway in its place, `refused` with 400 to 499. `retries` are further attempts. `p50_ms`,
    `p95_ms` and `p99_ms` are nearest-rank percentiles of the time from the gateway to the whole answer, in whole
    milliseconds up to 100 and to 5 % above. `queue` is how many requests are at the release now and not yet answered,
    `waiting` how many of these wait in the gateway for a connection. `batch` is the mean number of calls that were
    computed together.
    """

    endpoint: str
    release: int
    seconds: float
    requests: int
    per_second: float | None
    latest: float | None
    failed: int
    refused: int
    retries: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    queue: int
    waiting: int
    batch: float | None

    @property
    def failed_share(self) -> float | None:
        """Of the requests; None where there were none."""
        return self.failed / self.requests if self.requests else None


@dataclass(slots=True)
class Counts:
    """All that was counted of a release since its cluster is there; `times` are answers by milliseconds."""

    numbers: Counter[str] = field(default_factory=Counter)
    times: Counter[float] = field(default_factory=Counter)
    batches: float = 0.0
    calls: float = 0.0


@dataclass(frozen=True, slots=True)
class Reading:
    """The counts at one moment (`at`: seconds of a monotonic clock); `uptime` is the gateway's, in seconds."""

    at: float
    uptime: int
    counts: Mapping[Which, Counts]


class Meter:
    """Takes readings for one observer, and tells what happened between the first of the last 30 s and the newest.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, paths: Paths, clock: Callable[[], float] = time.monotonic) -> None:
        self._admin = Admin(folder(paths))
        self._metrics = paths.bentoml
        self._clock = clock
        self._readings: deque[Reading] = deque()

    def read(self) -> tuple[Live, ...]:
        """Every release that the gateway knows, by endpoint and number; none where no gateway answers."""
        try:
            found = self._admin.statistics(_WANTED)
        except OSError:
            self._readings.clear()
            return ()
        now = _reading(self._clock(), found)
        add_batches(self._metrics, now.counts)
        if self._readings and now.uptime < self._readings[-1].uptime:
            self._readings.clear()
        self._readings.append(now)
        while now.at - self._readings[0].at > WINDOW_SECONDS:
            self._readings.popleft()
        last = self._readings[-2] if len(self._readings) > 1 else now
        return between(self._readings[0], last, now)


def between(first: Reading, last: Reading, now: Reading) -> tuple[Live, ...]:
    """What happened since the first reading; `last` is the one before. A release that has come since began with 0."""
    found = []
    for which in sorted(now.counts):
        before, then = first.counts.get(which), last.counts.get(which)
        latest = _rate(_since(then, now.counts[which]), now.at - last.at)
        found.append(_live(which, _since(before, now.counts[which]), now.counts[which], now.at - first.at, latest))
    return tuple(found)


def percentile(times: Mapping[float, int], share: float) -> float | None:
    """The nearest-rank percentile of values with their frequencies: the smallest that `share` of them do not exceed."""
    left = max(math.ceil(share * sum(times.values())), 1)
    for value in sorted(times):
        left -= times[value]
        if left <= 0:
            return value
    return None


def _since(before: Counts | None, now: Counts) -> Counts:
    """What was counted since; all of it where the cluster or a process began anew."""
    if before is None or before.numbers["completed"] > now.numbers["completed"]:
        before = Counts()
    server = before if now.batches >= before.batches else Counts()
    return Counts(
        now.numbers - before.numbers,
        now.times - before.times,
        now.batches - server.batches,
        now.calls - server.calls,
    )


def _rate(grown: Counts, seconds: float) -> float | None:
    return grown.numbers["completed"] / seconds if seconds > 0 else None


def _live(which: Which, grown: Counts, now: Counts, seconds: float, latest: float | None) -> Live:
    return Live(
        endpoint=which[0],
        release=which[1],
        seconds=seconds,
        requests=grown.numbers["completed"],
        per_second=_rate(grown, seconds),
        latest=latest,
        failed=grown.numbers["5xx"],
        refused=grown.numbers["4xx"],
        retries=grown.numbers["retry"],
        p50_ms=percentile(grown.times, 0.50),
        p95_ms=percentile(grown.times, 0.95),
        p99_ms=percentile(grown.times, 0.99),
        queue=now.numbers["active"] + now.numbers["pending_active"],
        waiting=now.numbers["pending_active"],
        batch=grown.calls / grown.batches if grown.batches > 0 else None,
    )


def _reading(at: float, found: list[dict[str, Any]]) -> Reading:
    """Envoy's statistics by release; HTTP and gRPC together."""
    counts: dict[Which, Counts] = {}
    uptime = 0
    for one in found:
        for name, value in [(one["name"], one["value"])] if "name" in one else []:
            if name == "server.uptime":
                uptime = value
            elif known := _NAME.match(name):
                _of(counts, known).numbers[known[3]] += value
        for histogram in one.get("histograms", {}).get("details", []):
            if known := _NAME.match(histogram["name"]):
                _of(counts, known).times.update(
                    {_value(bucket): bucket["count"] for bucket in histogram["totals"]},
                )
    return Reading(at, uptime, counts)


def _of(counts: dict[Which, Counts], known: re.Match[str]) -> Counts:
    return counts.setdefault((known[1], int(known[2])), Counts())


def _value(bucket: Mapping[str, float]) -> float:
    """What stands for a bucket. Times are whole milliseconds: up to a width of 1 the lower bound is the value."""
    lower, width = bucket["lower_bound"], bucket["width"]
    return lower if width <= 1 else lower + width / 2


def add_batches(folder: Path, counts: Mapping[Which, Counts]) -> None:
    """What the servers counted, from their files: those of every process since each server started."""
    for (endpoint, release), found in counts.items():
        name = f"metrics-{endpoint}@{release}"
        for file in (*folder.glob(f"{name}/{_FILES}"), *folder.glob(f"{name}.*/{_FILES}")):
            batches, calls = _batches(file)
            found.batches += batches
            found.calls += calls


def _batches(file: Path) -> tuple[float, float]:
    """Batches and calls that a server's process counted; nothing where the file goes at this moment."""
    from prometheus_client.mmap_dict import MmapedDict

    batches = calls = 0.0
    try:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(file):  # type: ignore[no-untyped-call]
            batches += value if f'"{_BATCHES}_bucket"' in key else 0.0
            calls += value if f'"{_BATCHES}_sum"' in key else 0.0
    except (OSError, RuntimeError, ValueError, struct.error):
        return 0.0, 0.0
    return batches, calls
