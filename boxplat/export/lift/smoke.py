"""One workflow on the cluster, from a template that was lifted: does it run there as it runs here?"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from boxplat.adapters.cluster import Kind, Refusal
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.export.lift.bundle import Bundle, Ref
from boxplat.export.lift.refusals import refused
from boxplat.export.lift.stuck import PODS, Watch
from boxplat.export.model import Document

_FLOW = "metaflow/flow_name"
_WORKFLOWS = Kind("argoproj.io/v1alpha1", "Workflow", "workflows", namespaced=True)


def chosen(bundle: Bundle, flow: str) -> tuple[str, Document]:
    """A flow's name and its WorkflowTemplate, found by either's name.

    Raises:
        BoxError: the export has none (exit code 9).
    """
    found = {
        document["metadata"].get("annotations", {}).get(_FLOW, ""): document
        for document in bundle.documents
        if document["kind"] == "WorkflowTemplate"
    }
    for name, template in found.items():
        if flow in (name, template["metadata"]["name"]):
            return name, template
    raise not_found("flow", flow, found, fix="box lift --smoke FLOW")


def submit(watch: Watch, bundle: Bundle, name: str, parameters: Mapping[str, str]) -> str:
    """Start a workflow of a template, with values in place of the parameters' defaults; returns its name.

    Raises:
        BoxError: the cluster refuses it.
    """
    document: Document = {
        "apiVersion": _WORKFLOWS.api_version,
        "kind": "Workflow",
        "metadata": {
            "generateName": f"{name}-smoke-",
            "namespace": bundle.namespace,
            "labels": {"app.kubernetes.io/managed-by": "boxplat", "boxplat/smoke": "true"},
        },
        "spec": {"workflowTemplateRef": {"name": name}},
    }
    if parameters:
        given = [{"name": key, "value": value} for key, value in parameters.items()]
        document["spec"]["arguments"] = {"parameters": given}
    try:
        made = watch.cluster.create(_WORKFLOWS, document)
    except Refusal as refusal:
        raise refused(
            Ref(_WORKFLOWS.api_version, "Workflow", f"{name}-smoke", bundle.namespace), refusal, "start"
        ) from refusal
    workflow: str = made["metadata"]["name"]
    return workflow


def wait(watch: Watch, namespace: str, workflow: str, told: Callable[[str], None]) -> None:
    """Until a workflow has succeeded.

    Raises:
        BoxError: it failed, a pod of it is stuck, nobody runs it, or it is not done in time (exit code 6).
    """
    name, said, began = Ref(_WORKFLOWS.api_version, "Workflow", workflow, namespace), "", watch.clock()
    while True:
        live = watch.cluster.read(_WORKFLOWS, workflow, namespace)
        if live is None:
            raise BoxError(f"{name} is gone", why="somebody has deleted it", fix="box lift --resume")
        status = live.get("status", {})
        phase = status.get("phase", "")
        if phase == "Succeeded":
            return
        if phase in ("Failed", "Error"):
            raise _failed(watch, name, status)
        if not phase and watch.longer(workflow, "unseen", watch.patience.mounting):
            raise _unseen(name)
        if (now := f"{phase or 'waiting'} {status.get('progress', '')}".strip()) != said:
            told(f"{name}: {now}")
            said = now
        watch.check(name, _pods(watch, namespace, workflow))
        if watch.clock() - began > watch.patience.ready:
            raise _slow(name, watch.patience.ready, said)
        time.sleep(watch.patience.poll)


def _pods(watch: Watch, namespace: str, workflow: str) -> list[Document]:
    return list(watch.cluster.list(PODS, namespace, labelSelector=f"workflows.argoproj.io/workflow={workflow}"))


def _failed(watch: Watch, name: Ref, status: Mapping[str, Mapping[str, Mapping[str, str]]]) -> BoxError:
    """With the message of every step that failed, and the last lines of one."""
    nodes = [node for node in status.get("nodes", {}).values() if node.get("type") == "Pod"]
    failed = [node for node in nodes if node.get("phase") in ("Failed", "Error")]
    said = [f"{node['displayName']}: {node.get('message', '')}" for node in failed]
    for pod in _pods(watch, name.namespace, name.name):
        if pod.get("status", {}).get("phase") == "Failed":
            lines = watch.cluster.log(name.namespace, pod["metadata"]["name"], "main", previous=False, lines=8)
            said += lines.strip().splitlines()
            break
    return BoxError(
        f"{name} failed on the cluster",
        why="\n".join(said) or str(status.get("message", "")),
        fix=f"kubectl logs -n {name.namespace} -l workflows.argoproj.io/workflow={name.name} -c main --tail=50",
    )


def _unseen(name: Ref) -> BoxError:
    return BoxError(
        f"{name} is not picked up",
        why="its CRD is there, but no Argo Workflows controller acts on the namespace",
        fix="kubectl get pods -A -l app=workflow-controller   (it must be allowed to watch the namespace)",
    )


def _slow(name: Ref, seconds: float, said: str) -> BoxError:
    return BoxError(
        f"{name} has not ended after {seconds:.0f} s",
        why=said,
        fix="box lift --resume   (waits again)",
        code=ExitCode.TIMED_OUT,
    )
