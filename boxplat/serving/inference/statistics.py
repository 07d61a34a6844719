"""How often a model was asked, as Triton's clients want it told: from the same counters as `/metrics`."""

from __future__ import annotations

from typing import Any

from boxplat.serving.inference.repository import Repository

_NANO = 10**9


def statistics(repository: Repository, name: str = "", version: str = "") -> list[dict[str, Any]]:
    """The requests that a model has had, on all paths and by all workers; no name: all models.

    Raises:
        InferenceError: there is none of this name.
    """
    if name:
        repository.model(name, version)
    counts = _series(repository.direct)
    return [_of(one, repository, counts) for one in ([name] if name else repository.names)]


def _of(name: str, repository: Repository, counts: dict[tuple[str, bool], list[float]]) -> dict[str, Any]:
    path = repository.model(name).path
    good, bad = counts.get((path, True), [0, 0.0]), counts.get((path, False), [0, 0.0])
    return {
        "name": name,
        "version": repository.version,
        "inference_count": int(good[0]),
        "inference_stats": {
            "success": {"count": int(good[0]), "ns": int(good[1] * _NANO)},
            "fail": {"count": int(bad[0]), "ns": int(bad[1] * _NANO)},
        },
    }


def _series(direct: Any) -> dict[tuple[str, bool], list[float]]:
    """By path, and whether they were answered well: requests, and the seconds that they took."""
    from bentoml._internal.configuration.containers import BentoMLContainer
    from prometheus_client.parser import text_string_to_metric_families

    direct.counters.flush()
    found: dict[tuple[str, bool], list[float]] = {}
    metrics: Any = BentoMLContainer.metrics_client.get()
    for family in text_string_to_metric_families(metrics.generate_latest().decode()):
        for sample in family.samples:
            place = {"request_duration_seconds_count": 0, "request_duration_seconds_sum": 1}.get(
                sample.name.removeprefix("bentoml_service_")
            )
            if place is not None and "http_response_code" in sample.labels:
                key = sample.labels["endpoint"], sample.labels["http_response_code"] < "400"
                found.setdefault(key, [0, 0.0])[place] += sample.value
    return found
