"""Flows on a cluster: the workflow templates, what starts them, and what an environment can opt in to."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from boxplat.core.config import StartsConfig
from boxplat.export.flows import events, schedules, sensors
from boxplat.export.flows.harden import harden
from boxplat.export.kustomize import Layer, changes
from boxplat.export.model import Document, ExportInput

# Nodes that may be taken away at any time carry one of these, by who rents them out.
_SPOT = (
    {"key": "cloud.google.com/gke-spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
    {"key": "kubernetes.azure.com/scalesetpriority", "operator": "Equal", "value": "spot", "effect": "NoSchedule"},
    {"key": "spot", "operator": "Equal", "value": "true", "effect": "NoSchedule"},
)
_RETRIES = 2
# A step that failed by itself is not tried again; Metaflow takes it for the same attempt.
_GONE = 'lastRetry.status == "Error" || lastRetry.exitCode in ["-1", "143"]'


def templates(inputs: ExportInput, env: Sequence[Document]) -> list[Document]:
    """The hardened WorkflowTemplates, in the order of the flows; `env` is what every step gets."""
    return [harden(flow, inputs.policy, env, inputs.measured.get(flow.name)) for flow in inputs.flows]


def documents(inputs: ExportInput, made: Sequence[Document]) -> list[Document]:
    """Templates, CronWorkflows, Sensors, and the right of Sensors to start workflows."""
    crons = [schedules.cron_workflow(template, inputs.schedules) for template in made]
    pairs = zip(inputs.flows, made, strict=True)
    woken = [
        sensors.sensor(flow.sensor, template, inputs.policy, _overlaps(inputs, flow.name))
        for flow, template in pairs
        if flow.sensor
    ]
    rights = sensors.rights(inputs.policy) if woken else []
    return [*made, *(cron for cron in crons if cron is not None), *rights, *woken]


def _overlaps(inputs: ExportInput, flow: str) -> bool:
    return inputs.schedules.get(flow, StartsConfig()).overlap


def components(inputs: ExportInput, group: Sequence[Document]) -> dict[str, Layer]:
    """`spot`: steps tolerate nodes that can go, and are tried again; `argo-events`: what carries events to Sensors.

    Args:
        group: what `documents` made.
    """
    made = [entry for entry in group if entry["kind"] == "WorkflowTemplate"]
    found = {"spot": changes(made, [_spot(template) for template in made])} if made else {}
    if any(flow.sensor for flow in inputs.flows):
        found["argo-events"] = Layer(tuple(events.documents(inputs.policy)))
    return found


def _spot(template: Document) -> Document:
    """The processes of a `@parallel` step stay where nodes stay: one that goes takes the others with it."""
    changed = copy.deepcopy(template)
    for entry in changed["spec"]["templates"]:
        if "container" in entry:
            entry["tolerations"] = entry.get("tolerations", []) + list(_SPOT)
            retry = entry.get("retryStrategy", {"retryPolicy": "Always", "expression": _GONE})
            entry["retryStrategy"] = {**retry, "limit": max(_RETRIES, int(retry.get("limit", 0)))}
    return changed
