"""BentoML's own request metrics, kept for requests that its middleware does not see."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Counted:
    """One request; `status` is set before it ends."""

    status: int = 500


@dataclass
class Counters:
    """The metrics of BentoML's traffic middleware, with the series of each endpoint looked up once.

    Attributes:
        middleware: BentoML's; None where metrics are off.
    """

    middleware: Any
    labels: dict[str, str]
    ended: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict)
    running: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, app: Any) -> Counters:
        """Those of a BentoML application that has started."""
        from bentoml._internal.context import server_context
        from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware

        labels = {
            "service_name": server_context.bento_name,
            "service_version": server_context.bento_version,
            "runner_name": str(server_context.service_name),
        }
        layer = app.middleware_stack
        while layer is not None and not isinstance(layer, RunnerTrafficMetricsMiddleware):
            layer = getattr(layer, "app", None)
        if layer is not None and not layer._is_setup:
            layer._setup()
        return cls(layer, labels)

    @contextmanager
    def request(self, path: str) -> Iterator[Counted]:
        """Counts one request from its beginning to its end."""
        counted = Counted()
        if self.middleware is None:
            yield counted
            return
        running, last = self._running(path)
        last.set_to_current_time()
        running.inc()
        since = time.perf_counter()
        try:
            yield counted
        finally:
            running.dec()
            total, duration = self._ended(path, counted.status)
            total.inc()
            duration.observe(time.perf_counter() - since)

    def _running(self, path: str) -> tuple[Any, Any]:
        if path not in self.running:
            last = self.middleware.metrics_last_request_timestamp.labels(**self.labels)
            self.running[path] = self.middleware.metrics_request_in_progress.labels(endpoint=path, **self.labels), last
        found: tuple[Any, Any] = self.running[path]
        return found

    def _ended(self, path: str, status: int) -> tuple[Any, Any]:
        key = path, status
        if key not in self.ended:
            series = {**self.labels, "endpoint": path, "http_response_code": status}
            total = self.middleware.metrics_request_total.labels(**series)
            self.ended[key] = total, self.middleware.metrics_request_duration.labels(**series)
        return self.ended[key]
