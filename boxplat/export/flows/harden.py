"""A compiled WorkflowTemplate made fit for a guarded namespace: a pure function of the flow and the policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.export import document, gpus, names, security
from boxplat.export.flows.resources import gpu_need, requested
from boxplat.export.flows.values import clean, escaped, exported, labelled, placed
from boxplat.export.model import FLOWS, Decorator, Document, Flow, Peak, Policy
from boxplat.export.platform.features import STORE_ENV

PRIORITY = "box-batch"
_STEP = "metaflow/step_name"
_WORDS = frozenset({"metaflow/parameters", "workflows.argoproj.io/title", "workflows.argoproj.io/description"})
_EXPRESSION = re.compile(r"(?m)(?<=: )(\{\{=.*\}\})$")
_WORK = "/task"
# Without a port of its own Metaflow tells the processes of a `@parallel` step to meet at port "None".
_UNSET_PORT, _PORT = {"name": "MF_MASTER_PORT", "value": "None"}, {"name": "MF_MASTER_PORT", "value": "29500"}


@dataclass(frozen=True, slots=True)
class Pods:
    """What the pods of one flow have in common: the policy, their variables, and what its steps declare and took."""

    policy: Policy
    env: Sequence[Document]
    steps: Mapping[str, Sequence[Decorator]] = field(default_factory=dict)
    measured: Mapping[str, Peak] = field(default_factory=dict)


def harden(flow: Flow, policy: Policy, env: Sequence[Document], measured: Mapping[str, Peak] | None = None) -> Document:
    """The template without nulls and without anything random, that PodSecurity `restricted` and a quota admit.

    Args:
        flow: as Metaflow compiled it; not changed.
        policy: image, namespace, GPUs and times.
        env: variables, as a container's `env`, that every container gets; one that the flow sets itself keeps the
            flow's value.
        measured: what the steps took, by step; requests are that and the policy's margin.

    Returns:
        A new document. Manifests inside `resource` templates (the JobSets of `@parallel`) are hardened too.

    Raises:
        gpus.Unknown: a step needs a GPU that the policy does not know.
    """
    replaced = placed(policy, flow.template["metadata"]["name"])
    hardened: Document = clean(flow.template, replaced)
    pods = Pods(policy, env, flow.declared.steps, measured or {})
    labels = labelled(policy, hardened["metadata"]["annotations"]["metaflow/flow_name"])
    hardened["metadata"]["namespace"] = policy.namespace
    spec = hardened["spec"]
    for metadata in (hardened["metadata"], spec["workflowMetadata"], spec["podMetadata"]):
        metadata["labels"] = labels | metadata.get("labels", {})
        metadata["annotations"] = {key: _said(key, text) for key, text in metadata.get("annotations", {}).items()}
    for parameter in spec.get("arguments", {}).get("parameters", []):
        if "description" in parameter:
            parameter["description"] = parameter["description"].replace("{{", "{ {")
    spec |= _run(policy)
    for entry in spec["templates"]:
        if "container" in entry:
            step = entry.get("metadata", {}).get("annotations", {}).get(_STEP, "")
            container = entry["container"]
            container["command"] = [exported(word) for word in container.get("command", [])]
            _harden_pod(entry, container, pods, step)
        if "resource" in entry:
            manifest: Document = clean(_load_manifest(entry["resource"]["manifest"]), replaced)
            _harden_jobset(manifest, pods, labels)
            # The JobSet goes when the workflow goes.
            entry["resource"] |= {"manifest": _dump_manifest(manifest), "setOwnerReference": True}
    return hardened


def _said(key: str, text: str) -> str:
    """An annotation; what people wrote for people is no template of Argo's, which would not find what it names."""
    return text.replace("{{", "{ {") if key in _WORDS else text


def makes_jobsets(template: Mapping[str, Any]) -> bool:
    """Whether a workflow of this template creates JobSets, for which its service account needs the right."""
    return any("resource" in entry for entry in template["spec"]["templates"])


def _run(policy: Policy) -> Document:
    kept = {"secondsAfterSuccess": policy.keep_succeeded, "secondsAfterFailure": policy.keep_failed}
    return {
        "serviceAccountName": FLOWS,
        "securityContext": security.pod(),
        "podPriorityClassName": PRIORITY,
        "podGC": {"strategy": "OnPodSuccess"},
        "ttlStrategy": kept,
        **({"activeDeadlineSeconds": policy.deadline} if policy.deadline else {}),
    }


def _harden_pod(pod: Document, container: Document, pods: Pods, step: str) -> None:
    """Change a pod-like mapping (an Argo template or a pod spec) with one container in place."""
    peak = pods.measured.get(step)
    # Argo calls it so whatever it is called here, and the name of a step need be none of Kubernetes'.
    container["name"] = "main"
    container["image"] = pods.policy.images[FLOWS]
    container["securityContext"] = container.get("securityContext", {}) | security.container(read_only=False)
    container["resources"] = requested(container.get("resources", {}), peak, pods.policy.margin)
    container["env"] = _variables(container.get("env", []), pods)
    # Metaflow unpacks its code into the working directory, which a non-root user must be able to write to.
    container["workingDir"] = _WORK
    container["volumeMounts"] = container.get("volumeMounts", []) + _mounts(pods.env)
    need = gpu_need(pods.steps.get(step, ()), peak, pods.policy)
    if need is not None:
        kind = gpus.chosen(need, pods.policy.gpus)
        container["resources"]["limits"][kind.resource] = str(gpus.devices(need))
        found = gpus.placement(kind)
        pod["tolerations"] = pod.get("tolerations", []) + found["tolerations"]
        pod["nodeSelector"] = pod.get("nodeSelector", {}) | found.get("nodeSelector", {})
    for key in ("nodeSelector", "tolerations"):
        if not pod.get(key, True):
            del pod[key]
    _volumes(pod, container)


def _variables(own: Sequence[Document], pods: Pods) -> list[Document]:
    kept = [_variable(entry, pods.policy) for entry in own]
    known = {entry["name"] for entry in own}
    return kept + [entry for entry in pods.env if entry["name"] not in known]


def _variable(entry: Document, policy: Policy) -> Document:
    if entry["name"] in policy.secrets:
        return {"name": entry["name"], "valueFrom": {"secretKeyRef": {"name": FLOWS, "key": entry["name"]}}}
    return {**entry, "value": escaped(entry["value"])} if "value" in entry else entry


def _volumes(pod: Document, container: Document) -> None:
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    volumes = [
        *pod.get("volumes", []),
        {"name": "work", "emptyDir": {}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "feature-store", "configMap": {"name": "feature-store"}},
    ]
    pod["volumes"] = [volume for volume in volumes if volume["name"] in mounted]


def _mounts(env: Sequence[Document]) -> list[Document]:
    mounts = [{"name": "work", "mountPath": _WORK}, {"name": "data", "mountPath": names.DATA}]
    if any(entry["name"] in STORE_ENV for entry in env):
        mounts.append({"name": "feature-store", "mountPath": names.FEATURE_STORE})
    return mounts


def _harden_jobset(manifest: Document, pods: Pods, labels: Mapping[str, str]) -> None:
    metadata = manifest["metadata"]
    metadata["labels"] = labels | metadata.get("labels", {})
    step = metadata.get("annotations", {}).get(_STEP, "")
    for job in manifest["spec"]["replicatedJobs"]:
        template = job["template"]["spec"]["template"]
        template["metadata"]["labels"] = labels | template["metadata"].get("labels", {})
        spec = template["spec"]
        (container,) = spec["containers"]
        container["env"] = [_PORT if entry == _UNSET_PORT else entry for entry in container["env"]]
        _harden_pod(spec, container, pods, step)
        spec["securityContext"] = security.pod()
        spec["automountServiceAccountToken"] = False
        spec["priorityClassName"] = PRIORITY


def _load_manifest(text: str) -> Document:
    """Argo's bare expressions (`replicas: {{=…}}`) are no YAML until they are quoted."""
    manifest: Document = document.load(_EXPRESSION.sub(r"'\1'", text))
    return manifest


def _dump_manifest(manifest: Document) -> str:
    return re.sub(r'(?m)(?<=: )"(\{\{=asInt\(.*\)\}\})"$', r"\1", document.dump(manifest))
