"""BentoML's own request metrics, kept for requests that its middleware does not see.

A request costs a list's append; the metrics themselves are brought up to date once a second and before they are read.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

# As nginx counts a request whose client went away before it was answered.
GONE = 499
_TURN = 1.0


@dataclass
class Counted:
    """One request; `status` is set before it ends."""

    status: int = 500


@dataclass
class Counters:
    """The metrics of BentoML's traffic middleware, with the series of each endpoint looked up once.

    Attributes:
        middleware: BentoML's; None where metrics are off.
        running: requests under way, by path.
        active: there were requests, or are; for whoever sets it to False to see whether there are more.
    """

    middleware: Any
    labels: dict[str, str]
    running: dict[str, int] = field(default_factory=dict)
    active: bool = False
    _ended: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    _series: dict[Any, Any] = field(default_factory=dict)
    _last: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    @classmethod
    def of(cls, app: Any, service: str | None = None) -> Counters:
        """Those of a BentoML application that has started, on the running event loop.

        Args:
            service: another one than the application's, in the same process: the same metrics under its name.
        """
        from bentoml._internal.context import server_context
        from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

        labels = {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": service or str(server_context.service_name),
        }
        layer = app.middleware_stack
        while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
            layer = getattr(layer, "app", None)
        if layer is not None and not layer._is_setup:
            layer._setup()
        made = cls(layer, labels)
        made._later()
        return made

    @contextmanager
    def request(self, path: str) -> Iterator[Counted]:
        """Counts one request from its beginning to its end."""
        counted = Counted()
        self.began(path)
        since = time.perf_counter()
        try:
            yield counted
        finally:
            self.ended(path, counted.status, time.perf_counter() - since)

    def began(self, path: str) -> None:
        """A request is under way."""
        self.running[path] = self.running.get(path, 0) + 1

    def ended(self, path: str, status: int, seconds: float) -> None:
        """It was answered."""
        self.running[path] -= 1
        try:
            self._ended[path, status].append(seconds)
        except KeyError:
            self._ended[path, status] = [seconds]

    def flush(self) -> None:
        """Bring the metrics up to date."""
        self.active = self.active or bool(self._ended) or any(self.running.values())
        if self.middleware is None:
            self._ended.clear()
            return
        ended, self._ended = self._ended, {}
        for (path, status), seconds in ended.items():
            total, duration = self._of_answers(path, status)
            total.inc(len(seconds))
            _observe(duration, seconds)
        if ended:
            self._gauge("last").set_to_current_time()
        for path, running in self.running.items():
            self._gauge(path).set(running)

    def stop(self) -> None:
        """The last ones, and no more."""
        if self._timer is not None:
            self._timer.cancel()
        self.flush()

    def _later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TURN, self._turn)

    def _turn(self) -> None:
        self.flush()
        self._later()

    def _gauge(self, key: str) -> Any:
        if key not in self._series:
            if key == "last":
                found = self.middleware.metrics_last_request_timestamp.labels(**self.labels)
            else:
                found = self.middleware.metrics_request_in_progress.labels(endpoint=key, **self.labels)
            self._series[key] = found
        return self._series[key]

    def _of_answers(self, path: str, status: int) -> tuple[Any, Any]:
        if (path, status) not in self._series:
            series = {**self.labels, "endpoint": path, "http_response_code": status}
            total = self.middleware.metrics_request_total.labels(**series)
            self._series[path, status] = total, self.middleware.metrics_request_duration.labels(**series)
        found: tuple[Any, Any] = self._series[path, status]
        return found


def _observe(histogram: Any, values: list[float]) -> None:
    """`histogram.observe` of each value; a bucket is written once for all of them."""
    bounds = histogram._upper_bounds
    counts = [0] * len(bounds)
    for value in values:
        counts[bisect_left(bounds, value)] += 1
    for bucket, count in zip(histogram._buckets, counts, strict=True):
        if count:
            bucket.inc(count)
    histogram._sum.inc(sum(values))
