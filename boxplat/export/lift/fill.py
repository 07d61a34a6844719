"""The online store filled: of all that moves, only its rows are made anew over there instead of copied."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from boxplat.adapters.cluster import Kind
from boxplat.export.lift import rollout
from boxplat.export.lift.bundle import Bundle, component, pod_template, ref
from boxplat.export.lift.journal import Lift
from boxplat.export.lift.order import Call
from boxplat.export.lift.plan import ONCE
from boxplat.export.lift.put import put
from boxplat.export.model import FEATURES, Document

_JOBS = Kind("batch/v1", "Job", "jobs", namespaced=True)


def online_store(call: Call, lift: Lift, bundle: Bundle) -> None:
    """Materialize once what was materialized here when history was moved; later rows are the CronJob's.

    Raises:
        BoxError: the Job is refused, or it fails.
    """
    moved = lift.last("migrated")
    intervals: Mapping[str, tuple[str, str]] = moved["facts"].get("materialized", {}) if moved else {}
    regular = next((one for one in bundle.documents if one["kind"] == "CronJob" and component(one) == FEATURES), None)
    if not intervals or regular is None or lift.did("materialized"):
        return
    first, last = min(begin for begin, _ in intervals.values()), max(end for _, end in intervals.values())
    job = _job(regular, lift.number, ["feast", "materialize", first, last])
    call.told(f"{ref(job)}: feast materialize {first} {last}")
    put(call, _JOBS, job, force=True)
    rollout.wait(call.watch, {(_JOBS.api_version, _JOBS.name): _JOBS}, [job], call.told)
    lift.note("materialized")


def _job(regular: Document, number: int, command: list[str]) -> dict[str, Any]:
    """A Job as the CronJob makes them, with another command; Kubernetes deletes it when it is old."""
    spec = copy.deepcopy(regular["spec"]["jobTemplate"]["spec"])
    metadata = copy.deepcopy(regular["metadata"])
    metadata |= {"name": f"{metadata['name']}-lift-{number}"}
    metadata["labels"] = {**metadata.get("labels", {}), ONCE: str(number)}
    job = {"apiVersion": _JOBS.api_version, "kind": _JOBS.name, "metadata": metadata, "spec": spec}
    template = pod_template(job)
    assert template is not None
    template["spec"]["containers"][0]["command"] = command
    return job
