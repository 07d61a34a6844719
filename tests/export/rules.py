"""What an API server refuses and schema validation does not see, and what this project demands of every manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import yaml

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_PULL = {"Always", "IfNotPresent", "Never"}
_UNITS = {"": 1, "m": Decimal("0.001"), "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_SERVING = {"Deployment"}
_PLACE = re.compile(r"\{\{.*\}\}")


def faults(documents: list[dict[str, Any]]) -> list[str]:
    """One line for each broken rule: `Kind/name: rule: detail`."""
    found = [f"{_title(entry)}: {fault}" for entry in documents for fault in _document(entry)]
    return found + list(_references(documents))


def pods(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], dict[str, str]]]:
    """Every pod that a document makes: where, its spec (with `containers`), its labels."""
    spec = document.get("spec", {})
    match document["kind"]:
        case "Deployment" | "Job":
            yield "template", spec["template"]["spec"], spec["template"]["metadata"]["labels"]
        case "CronJob":
            template = spec["jobTemplate"]["spec"]["template"]
            yield "template", template["spec"], template["metadata"]["labels"]
        case "WorkflowTemplate":
            for template in spec["templates"]:
                yield from _argo_pods(spec, template)


def _argo_pods(spec: Mapping[str, Any], template: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], Any]]:
    labels = spec["podMetadata"]["labels"]
    if "container" in template:
        pod = {
            "containers": [template["container"]],
            "volumes": template.get("volumes", []),
            "securityContext": spec.get("securityContext"),
            "serviceAccountName": template.get("serviceAccountName"),
        }
        yield template["name"], pod, labels
    if "resource" in template:
        manifest = yaml.safe_load(re.sub(r"(?m): (\{\{=.*\}\})$", r": '\1'", template["resource"]["manifest"]))
        for job in manifest["spec"]["replicatedJobs"]:
            pod = job["template"]["spec"]["template"]
            yield f"{template['name']}/{job['name']}", pod["spec"], pod["metadata"]["labels"]


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['kind']}/{document['metadata']['name']}"


def _document(document: dict[str, Any]) -> Iterator[str]:
    name, kind = document["metadata"]["name"], document["kind"]
    pattern = _LABEL if kind in ("Service", "Namespace") else _NAME
    if not pattern.fullmatch(name):
        yield f"name: {name}"
    for key, value in document["metadata"].get("labels", {}).items():
        if not re.fullmatch(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", value):
            yield f"label: {key}={value}"
    for where, pod, labels in pods(document):
        yield from (f"{fault} ({where})" for fault in _pod(pod))
        if kind in _SERVING:
            wanted = document["spec"]["selector"]["matchLabels"]
            if not wanted.items() <= labels.items():
                yield f"selector: {wanted}"
            yield from (
                f"probe: no {probe}"
                for probe in ("readinessProbe", "livenessProbe", "startupProbe")
                if probe not in pod["containers"][0]
            )


def _pod(pod: Mapping[str, Any]) -> Iterator[str]:
    context = pod.get("securityContext") or {}
    if context.get("runAsNonRoot") is not True or context.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "restricted: pod securityContext"
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        yield from _container(container, volumes)


def _container(container: Mapping[str, Any], volumes: set[str]) -> Iterator[str]:
    context = container.get("securityContext", {})
    closed = context.get("allowPrivilegeEscalation") is False and context.get("capabilities") == {"drop": ["ALL"]}
    if not closed or context.get("privileged"):
        yield "restricted: container securityContext"
    if container.get("imagePullPolicy", "Always") not in _PULL:
        yield f"imagePullPolicy: {container['imagePullPolicy']}"
    image = container["image"]
    if image.endswith(":latest") or not re.search(r"(:[\w.-]+|@sha256:[0-9a-f]{64})$", image):
        yield f"image: {image}"
    yield from (f"volume: {mount['name']}" for mount in container["volumeMounts"] if mount["name"] not in volumes)
    requests, limits = container["resources"].get("requests", {}), container["resources"].get("limits", {})
    yield from (f"resources: no {kind}" for kind in ("cpu", "memory") if kind not in requests)
    if "memory" not in limits:
        yield "resources: no memory limit"
    yield from (
        f"resources: {key} above its limit"
        for key in requests.keys() & limits.keys()
        if amount(requests[key]) > amount(limits[key])
    )
    names = [entry["name"] for entry in container.get("env", [])]
    yield from (f"env: {name} twice" for name in sorted({name for name in names if names.count(name) > 1}))


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number."""
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    assert match, quantity
    return Decimal(match[1]) * _UNITS[match[2]]


def _references(documents: list[dict[str, Any]]) -> Iterator[str]:
    """Names that must exist in the same export: accounts, claims, ConfigMaps, scale targets, workflow templates."""
    known = {_title(entry) for entry in documents}
    for document in documents:
        wanted = [f"ServiceAccount/{pod['serviceAccountName']}" for _, pod, _ in pods(document)]
        for _, pod, _ in pods(document):
            for volume in pod.get("volumes", []):
                if "persistentVolumeClaim" in volume:
                    wanted.append(f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}")
                if "configMap" in volume:
                    wanted.append(f"ConfigMap/{volume['configMap']['name']}")
        if document["kind"] == "HorizontalPodAutoscaler":
            wanted.append(f"Deployment/{document['spec']['scaleTargetRef']['name']}")
        if document["kind"] == "CronWorkflow":
            wanted.append(f"WorkflowTemplate/{document['spec']['workflowSpec']['workflowTemplateRef']['name']}")
        if document["kind"] in ("Service", "PodDisruptionBudget"):
            spec = document["spec"]
            selector = spec["selector"].get("matchLabels", spec["selector"])
            if not any(selector.items() <= labels.items() for other in documents for _, _, labels in pods(other)):
                yield f"{_title(document)}: selector: no pod has {selector}"
        yield from (f"{_title(document)}: reference: {name}" for name in wanted if name not in known)
