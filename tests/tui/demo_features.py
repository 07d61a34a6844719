"""Made-up feature views: one fresh, one stale, one never brought online, one computed when it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.tui.demo import NOW


def iso(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).isoformat()


def view(name: str, lag: float | None, ttl: float | None, **more: Any) -> dict[str, Any]:
    """A view as `box features list --json` tells of it; no lag: it is not online."""
    told: dict[str, Any] = {
        "view": name,
        "keys": [{"name": "origin", "type": "STRING"}, {"name": "hour", "type": "INT64"}],
        "features": [{"name": "temp", "type": "DOUBLE"}, {"name": "sky", "type": "STRING"}],
        "ttl_seconds": ttl,
        "source": f".box/data/{name}.parquet",
        "services": ["delay_v1"],
        "on_demand": False,
        "closed": "",
        "online": lag is not None,
    }
    if lag is not None:
        told |= {
            "newest_event": iso(lag),
            "lag_seconds": lag,
            "stale": ttl is not None and lag > ttl,
            "rows": 1_312,
            "materialized_until": iso(lag),
            "materialized_at": iso(900),
            "next_materialization": None,
        }
    return told | more


def listing() -> dict[str, Any]:
    """What `box features list --json` prints."""
    return {
        "project": "flights",
        "clock": "wall",
        "views": [
            view("ops", 7_200, 3_600),
            view("ratios", None, None, on_demand=True, source="", keys=[]),
            view("tail_last", None, 604_800, services=[]),
            view("weather", 1_200, 10_800),
        ],
        "last": {
            "applied": {"at": iso(5_000), "views": ["ops"], "by": "ada/cli"},
            "materialized": {"at": iso(900), "rows": {"ops": 1_312, "weather": 1_312}, "failed": [], "by": "ada/cli"},
            "compacted": None,
            "audited": {
                "at": iso(7_300),
                "table": "training.parquet",
                "passed": False,
                "findings": {"dep_delay": "knows the future", "temp": "knows the future"},
                "report": ".box/audits/r.txt",
                "by": "ada/cli",
            },
        },
        "skew": {
            "delay": {
                "at": iso(60),
                "predictions": 500,
                "values": 24_500,
                "differences": {"ops__late": 485},
                "passed": False,
            }
        },
    }


HISTOGRAM = {"edges": [float(n) for n in range(31)], "counts": [*range(30)], "below": 0, "above": 3}
NUMBERS = {
    "kind": "number",
    "rows": 1_000,
    "nulls": 104,
    "odd": 2,
    "distinct": 173,
    "minimum": 0.0,
    "maximum": 1048.4,
    "mean": 20.5,
    "deviation": 6.3,
    "quantiles": {"0.01": 1.0, "0.05": 4.0, "0.25": 14.0, "0.5": 21.0, "0.75": 25.0, "0.95": 29.0, "0.99": 29.9},
    "histogram": HISTOGRAM,
    "top": [],
}
WORDS = dict.fromkeys(NUMBERS) | {
    "kind": "category",
    "rows": 1_000,
    "nulls": 0,
    "odd": 0,
    "distinct": 12,
    "top": [["clear", 700], ["晴れ\x1b[2J時々曇り" * 6, 200]],
}


def shown(name: str = "weather") -> dict[str, Any]:
    """What `box features show weather --json` prints."""
    return {
        "view": name,
        "keys": ["origin", "hour"],
        "example": {"origin": "JFK", "hour": 7},
        "source": f".box/data/{name}.parquet",
        "rows": 26_115,
        "sampled": 1_000,
        "oldest": "2013-01-01T07:00:00+00:00",
        "newest": "2013-12-31T00:00:00+00:00",
        "features": [
            {"name": "temp", "type": "DOUBLE", "column": "temp", "distribution": NUMBERS, "why": ""},
            {"name": "sky", "type": "STRING", "column": "sky", "distribution": WORDS, "why": ""},
        ],
    }
