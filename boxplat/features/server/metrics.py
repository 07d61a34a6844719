"""What the server counts, as Prometheus text. What Feast's server counts too has Feast's names."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from boxplat.features.schema import STATUSES

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_ENTITIES = (1, 5, 10, 25, 50, 100, 250, 500, 1000)

Labels = tuple[tuple[str, str], ...]


class Histogram:
    """Counts by upper bound."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: Labels) -> Iterable[str]:
        """Prometheus' lines: each bucket counts all that is not above its bound."""
        below = 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            below += count
            yield f"{name}_bucket{_labels((*labels, ('le', bound)))} {below}"
        yield f"{name}_sum{_labels(labels)} {self.sum!r}"
        yield f"{name}_count{_labels(labels)} {below}"


class Metrics:
    """The counters of one process, for use in the thread of its event loop."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, Histogram] = {}
        self.entities = Histogram(_ENTITIES)
        self.values: Counter[tuple[str, int]] = Counter()
        self.pushes: Counter[tuple[str, str]] = Counter()

    def answered(self, endpoint: str, status: int, seconds: float) -> None:
        """One request was answered."""
        self.requests[endpoint, status] += 1
        if endpoint not in self.seconds:
            self.seconds[endpoint] = Histogram(_SECONDS)
        self.seconds[endpoint].add(seconds)

    def read(self, view: str, seen: Iterable[int]) -> None:
        """So many values of a view had each status."""
        for status, number in enumerate(seen):
            if number:
                self.values[view, status] += number

    def text(self, views: Sequence[Mapping[str, Any]]) -> bytes:
        """Everything, with the freshness of each view as `freshness` gives it."""
        lines = [*self._requests(), *self._reads(), *_freshness(views)]
        return ("\n".join(lines) + "\n").encode()

    def _requests(self) -> Iterable[str]:
        yield "# TYPE feast_feature_server_request_total counter"
        for (endpoint, status), count in sorted(self.requests.items()):
            labels = (("endpoint", endpoint), ("status", str(status)))
            yield f"feast_feature_server_request_total{_labels(labels)} {count}"
        yield "# TYPE feast_feature_server_request_latency_seconds histogram"
        for endpoint, histogram in sorted(self.seconds.items()):
            yield from histogram.lines("feast_feature_server_request_latency_seconds", (("endpoint", endpoint),))

    def _reads(self) -> Iterable[str]:
        yield "# TYPE feast_online_features_entity_count histogram"
        yield from self.entities.lines("feast_online_features_entity_count", ())
        yield "# TYPE feast_online_features_status_total counter"
        for (view, status), count in sorted(self.values.items()):
            labels = (("feature_view", view), ("status", STATUSES[status].lower()))
            yield f"feast_online_features_status_total{_labels(labels)} {count}"
        yield "# TYPE feast_push_request_total counter"
        for (source, mode), count in sorted(self.pushes.items()):
            yield f"feast_push_request_total{_labels((('push_source', source), ('mode', mode)))} {count}"


_GAUGES = (
    ("feast_feature_freshness_seconds", "since_materialized_seconds"),
    ("boxplat_feature_view_newest_event_timestamp_seconds", "newest_event_seconds"),
    ("boxplat_feature_view_lag_seconds", "lag_seconds"),
    ("boxplat_feature_view_ttl_seconds", "ttl_seconds"),
    ("boxplat_feature_view_rows", "rows"),
    ("boxplat_feature_view_stale", "stale"),
)


def _freshness(views: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for name, key in _GAUGES:
        yield f"# TYPE {name} gauge"
        for view in views:
            if view.get(key) is not None:
                yield f"{name}{_labels((('feature_view', view['view']),))} {float(view[key])!r}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
