"""`@trigger` and `@trigger_on_finish` as an Argo Events Sensor: Metaflow's own, made fit for a guarded namespace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from boxplat.adapters.schedules import to_unix
from boxplat.export import names
from boxplat.export.flows import events
from boxplat.export.flows.values import clean, labelled, placed
from boxplat.export.model import FLOWS, Document, Policy


def sensor(compiled: Mapping[str, Any], template: Document, policy: Policy, overlap: bool = False) -> Document:
    """A Sensor that submits a hardened template.

    Args:
        compiled: the Sensor as Metaflow makes it; not changed.
        template: the hardened WorkflowTemplate of the same flow.
        overlap: it starts the flow also while a run that it started is not over; else the run waits for the other.

    Raises:
        BoxError: `reset_at` is no schedule that Argo could run (exit code 2).
    """
    flow = template["metadata"]["annotations"]["metaflow/flow_name"]
    made: Document = clean(compiled, placed(policy, template["metadata"]["name"]))
    labels = labelled(policy, flow)
    made["metadata"] |= {"namespace": policy.namespace, "labels": labels | made["metadata"]["labels"]}
    spec = made["spec"]
    spec["template"] = events.template(events.ACCOUNT, policy, events.ACCOUNT, spec["template"]["container"])
    for trigger in spec["triggers"]:
        workflow = trigger["template"]["k8s"]["source"]["resource"]
        workflow["metadata"] |= {"namespace": policy.namespace, "labels": labels}
        if not overlap:
            workflow["spec"]["synchronization"] = {"mutexes": [{"name": template["metadata"]["name"]}]}
        _resets(trigger["template"], flow)
    return made


def _resets(template: Document, flow: str) -> None:
    """Events that were seen are forgotten at times that Metaflow documents as AWS's cron, and Argo reads as Unix's."""
    kept = [reset for reset in template.pop("conditionsReset", []) if reset.get("byTime", {}).get("cron")]
    for reset in kept:
        reset["byTime"]["cron"] = to_unix(" ".join(reset["byTime"]["cron"].split()[:5]), flow)
    if kept:
        template["conditionsReset"] = kept


def rights(policy: Policy) -> list[Document]:
    """The account of the Sensors: it may create workflows and nothing else."""
    metadata = names.metadata(events.ACCOUNT, policy.namespace, policy.project, FLOWS)
    group = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata, "automountServiceAccountToken": True},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": metadata,
            "rules": [{"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": events.ACCOUNT},
            "subjects": [{"kind": "ServiceAccount", "name": events.ACCOUNT, "namespace": policy.namespace}],
        },
    ]
