"""A compiled WorkflowTemplate made fit for a guarded namespace: a pure function of the template and the policy."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from boxplat.export import document, names, security
from boxplat.export.features import STORE_ENV
from boxplat.export.model import FLOWS, Document, Policy

_TOKEN = "__PLACEHOLDER_PRODUCTION_TOKEN__"
_TIMESTAMP = "metaflow/deployment_timestamp"
# Metaflow draws this file's name at random at every compilation.
_PARAMETER_FILE = re.compile(r"metaflow\.plugins\.argo\.set_parameters ([a-z]{10}) ")
_EXPRESSION = re.compile(r"(?m)(?<=: )(\{\{=.*\}\})$")
_WORK = "/task"
# Without a port of its own Metaflow tells the processes of a `@parallel` step to meet at port "None".
_UNSET_PORT, _PORT = {"name": "MF_MASTER_PORT", "value": "None"}, {"name": "MF_MASTER_PORT", "value": "29500"}


def harden(template: Mapping[str, Any], policy: Policy, env: Sequence[Document]) -> Document:
    """The template without nulls and without anything random, that PodSecurity `restricted` and a quota admit.

    Args:
        template: as Metaflow emits it; not changed.
        policy: image, namespace and times.
        env: variables, as a container's `env`, that every container gets; one that the flow sets itself keeps the
            flow's value.

    Returns:
        A new document. Manifests inside `resource` templates (the JobSets of `@parallel`) are hardened too.
    """
    token = f"{template['metadata']['name']}-0"
    hardened: Document = _clean(template, {_TOKEN: token, **_parameter_files(template)})
    flow = hardened["metadata"]["annotations"]["metaflow/flow_name"]
    labels = {**names.labels(policy.project, FLOWS), "boxplat/flow": flow}
    hardened["metadata"]["namespace"] = policy.namespace
    spec = hardened["spec"]
    for metadata in (hardened["metadata"], spec["workflowMetadata"], spec["podMetadata"]):
        metadata["labels"] = labels | metadata.get("labels", {})
    kept = {"secondsAfterSuccess": policy.keep_succeeded, "secondsAfterFailure": policy.keep_failed}
    spec |= {
        "serviceAccountName": FLOWS,
        "securityContext": security.pod(),
        "podGC": {"strategy": "OnPodSuccess"},
        "ttlStrategy": kept,
    }
    for entry in spec["templates"]:
        if "container" in entry:
            _harden_pod(entry, [entry["container"]], policy, env)
        if "resource" in entry:
            manifest = _load_manifest(entry["resource"]["manifest"], token)
            _harden_jobset(manifest, policy, env, labels)
            entry["resource"]["manifest"] = _dump_manifest(manifest)
    return hardened


def makes_jobsets(template: Mapping[str, Any]) -> bool:
    """Whether a workflow of this template creates JobSets, for which its service account needs the right."""
    return any("resource" in entry for entry in template["spec"]["templates"])


def _clean(value: Any, replaced: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if item is not None and key != _TIMESTAMP}
        return {key: _clean(item, replaced) for key, item in kept.items()}
    if isinstance(value, list):
        return [_clean(item, replaced) for item in value]
    if isinstance(value, str):
        for old, new in replaced.items():
            value = value.replace(old, new)
    return value


def _parameter_files(template: Mapping[str, Any]) -> dict[str, str]:
    return dict.fromkeys(_PARAMETER_FILE.findall(json.dumps(template)), "flow-parameters")


def _harden_pod(pod: Document, containers: list[Document], policy: Policy, env: Sequence[Document]) -> None:
    """Change a pod-like mapping (an Argo template or a pod spec) in place."""
    for container in containers:
        container["image"] = policy.images[FLOWS]
        container["securityContext"] = container.get("securityContext", {}) | security.container(read_only=False)
        container["resources"] = _resources(container.get("resources", {}))
        own = container.setdefault("env", [])
        known = {entry["name"] for entry in own}
        own += [entry for entry in env if entry["name"] not in known]
        # Metaflow unpacks its code into the working directory, which a non-root user must be able to write to.
        container["workingDir"] = _WORK
        container["volumeMounts"] = container.get("volumeMounts", []) + _mounts(env)
        if security.GPU in container["resources"]["limits"]:
            pod["tolerations"] = pod.get("tolerations", []) + security.gpu_tolerations()
    mounted = {mount["name"] for container in containers for mount in container["volumeMounts"]}
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


def _resources(resources: Mapping[str, Any]) -> Document:
    """Requests as declared, whole numbers written as such; the memory limit is the request unless one is set."""
    requests = {key: _quantity(value) for key, value in resources.get("requests", {}).items()}
    limits = {key: _quantity(value) for key, value in resources.get("limits", {}).items()}
    if "memory" in requests:
        limits.setdefault("memory", requests["memory"])
    return {"requests": requests, "limits": limits}


def _quantity(value: Any) -> str:
    return re.sub(r"^(\d+)\.0+(?=\D*$)", r"\1", str(value))


def _harden_jobset(manifest: Document, policy: Policy, env: Sequence[Document], labels: Mapping[str, str]) -> None:
    manifest["metadata"]["labels"] = labels | manifest["metadata"].get("labels", {})
    for job in manifest["spec"]["replicatedJobs"]:
        template = job["template"]["spec"]["template"]
        template["metadata"]["labels"] = labels | template["metadata"].get("labels", {})
        spec = template["spec"]
        for container in spec["containers"]:
            container["env"] = [_PORT if entry == _UNSET_PORT else entry for entry in container["env"]]
        _harden_pod(spec, spec["containers"], policy, env)
        spec["securityContext"] = security.pod()
        spec["automountServiceAccountToken"] = False


def _load_manifest(text: str, token: str) -> Document:
    """Argo's bare expressions (`replicas: {{=…}}`) are no YAML until they are quoted."""
    manifest: Document = _clean(document.load(_EXPRESSION.sub(r"'\1'", text)), {_TOKEN: token})
    return manifest


def _dump_manifest(manifest: Document) -> str:
    return re.sub(r'(?m)(?<=: )"(\{\{=asInt\(.*\)\}\})"$', r"\1", document.dump(manifest))
