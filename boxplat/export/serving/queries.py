"""What an endpoint's servers count, as PromQL: the names and labels that rules and dashboards use."""

from __future__ import annotations

from dataclasses import dataclass

REQUESTS = "bentoml_service_request_total"
SECONDS = "bentoml_service_request_duration_seconds"
RUNNING = "bentoml_service_request_in_progress"
BATCHES = "bentoml_service_adaptive_batch_size"
LOST = "boxplat_prediction_log_dropped_total"
STOPPED = "boxplat_prediction_log_stopped"
# Labels that the ServiceMonitor adds; `PATH` is the metrics' own `endpoint`, for which Prometheus has another use.
ENDPOINT, RELEASE, PATH, STATUS = "boxplat_endpoint", "boxplat_release", "path", "http_response_code"
# The bound of the last bucket before infinity, in milliseconds: beyond it there are no quantiles.
SLOWEST_MS = 180_000.0
# Servers count the kubelet's probes as requests, and one that is not ready as a failed request.
_ASKED = f'{PATH}!~".*/(livez|readyz|healthz)"'
_FAILED = f'{STATUS}=~"5.."'


@dataclass(frozen=True, slots=True)
class Queries:
    """Those of one endpoint, by release; `window` is a Prometheus duration."""

    namespace: str
    endpoint: str
    window: str

    def per_second(self) -> str:
        """Requests a second."""
        return self._grown("rate", REQUESTS, _ASKED)

    def failed(self) -> str:
        """The share of requests that were answered with a status of 500 or above, 0 to 1."""
        return f"{self._grown('rate', REQUESTS, _ASKED, _FAILED)} / {self.per_second()}"

    def counted(self) -> str:
        """Requests in the window."""
        return self._grown("increase", REQUESTS, _ASKED)

    def quantile_ms(self, share: float) -> str:
        """A quantile of the times of answers, in milliseconds."""
        buckets = self._grown("rate", f"{SECONDS}_bucket", _ASKED, by=f"{RELEASE}, le")
        return f"1000 * histogram_quantile({share:g}, {buckets})"

    def running(self) -> str:
        """Requests under way."""
        return f"sum by ({RELEASE}) ({self._series(RUNNING, _ASKED)})"

    def batch(self) -> str:
        """The mean number of calls that were computed together."""
        return f"{self._grown('rate', f'{BATCHES}_sum')} / {self._grown('rate', f'{BATCHES}_count')}"

    def servers(self) -> str:
        """Pods that answer Prometheus."""
        return f"sum by ({RELEASE}) ({self._series('up')})"

    def unreachable(self) -> str:
        """1 where no pod of the endpoint answers Prometheus."""
        return f"absent({self._series('up')} == 1)"

    def unlogged(self) -> str:
        """Records of predictions for which there was no room, in the window."""
        return self._grown("increase", LOST)

    def log_stopped(self) -> str:
        """Servers that cannot write their prediction log."""
        return f"sum by ({RELEASE}) ({self._series(STOPPED)})"

    def _grown(self, function: str, name: str, *more: str, by: str = RELEASE) -> str:
        return f"sum by ({by}) ({function}({self._series(name, *more)}[{self.window}]))"

    def _series(self, name: str, *more: str) -> str:
        own = f'namespace="{self.namespace}"', f'{ENDPOINT}="{self.endpoint}"'
        return f"{name}{{{','.join([*own, *more])}}}"
