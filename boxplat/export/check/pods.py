"""Every pod that a manifest makes, with its containers: of workloads, of Argo's templates, of JobSets in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from boxplat.export.check import yamltext
from boxplat.export.check.model import Manifest
from boxplat.export.pointers import Pointer, entries, mapping, text, written

_TEMPLATE: Mapping[str, Pointer] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "Pod": (),
}
_WORKFLOWS: Mapping[str, Pointer] = {
    "WorkflowTemplate": ("spec",),
    "ClusterWorkflowTemplate": ("spec",),
    "Workflow": ("spec",),
    "CronWorkflow": ("spec", "workflowSpec"),
}
_EVENTS = frozenset({"Sensor", "EventSource", "EventBus"})
# Argo's bare expressions are no YAML until they are quoted.
_EXPRESSION = re.compile(r"(?m)(?<=: )(\{\{.*\}\})$")


@dataclass(frozen=True)
class Container:
    """A container; `init` ones end before the others start."""

    where: Pointer
    spec: Mapping[str, Any]
    init: bool = False


@dataclass(frozen=True)
class Pod:
    """A pod as it will be asked for; `step` is the Argo template that it runs for."""

    manifest: Manifest
    where: Pointer
    spec: Mapping[str, Any]
    labels: Mapping[str, Any]
    containers: tuple[Container, ...]
    step: str = ""

    @property
    def serves(self) -> bool:
        """Whether it runs until it is told to stop."""
        return self.manifest.kind in ("Deployment", "StatefulSet", "DaemonSet")


def pods(manifest: Manifest) -> Iterator[Pod]:
    """The pods of one manifest."""
    path = _TEMPLATE.get(manifest.kind)
    if path is not None:
        yield _pod(manifest, path, mapping(manifest.document, *path))
    elif manifest.kind == "JobSet":
        yield from _gang(manifest, (), manifest.document, "")
    elif manifest.kind in _WORKFLOWS:
        yield from _steps(manifest, _WORKFLOWS[manifest.kind])
    elif manifest.kind in _EVENTS:
        yield from _listeners(manifest)


def workflow(manifest: Manifest) -> tuple[Pointer, Mapping[str, Any]]:
    """Where an Argo kind has its workflow's spec, and the spec; an empty one for other kinds."""
    path = _WORKFLOWS.get(manifest.kind)
    return ((), {}) if path is None else (path, mapping(manifest.document, *path))


def created(template: Mapping[str, Any]) -> Mapping[str, Any]:
    """The object that an Argo `resource` template creates; an empty one where there is none or it cannot be read."""
    return _parsed(text(template, "resource", "manifest"))[0]


def writing(template: Mapping[str, Any]) -> tuple[str, ...]:
    """What is wrong with the YAML of the object that an Argo `resource` template creates."""
    return _parsed(text(template, "resource", "manifest"))[1]


# Every rule asks for the same few.
@lru_cache(maxsize=64)
def _parsed(made: str) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    try:
        found, wrong = yamltext.read(_EXPRESSION.sub(r"'\1'", made))
    except ValueError as error:
        return {}, (str(error),)
    if len(found) != 1 or not isinstance(found[0], Mapping):
        return {}, ("it is no mapping",)
    return found[0], tuple(f"{written(where)}: {what}" for _, where, what in wrong)


def _pod(manifest: Manifest, where: Pointer, template: Mapping[str, Any], step: str = "") -> Pod:
    spec = mapping(template, "spec")
    inner = (*where, "spec")
    found = [Container((*inner, *path), one) for path, one in entries(spec, "containers")]
    found += [Container((*inner, *path), one, init=True) for path, one in entries(spec, "initContainers")]
    return Pod(manifest, inner, spec, mapping(template, "metadata", "labels"), tuple(found), step)


def _steps(manifest: Manifest, path: Pointer) -> Iterator[Pod]:
    spec = mapping(manifest.document, *path)
    for place, template in entries(spec, "templates"):
        where = (*path, *place)
        name = text(template, "name")
        if "container" in template or "script" in template or "containerSet" in template:
            yield _step(manifest, where, spec, template, name)
        elif "resource" in template:
            yield from _gang(manifest, (*where, "resource", "manifest"), created(template), name)


def _step(
    manifest: Manifest, where: Pointer, workflow: Mapping[str, Any], template: Mapping[str, Any], name: str
) -> Pod:
    found = [
        Container((*where, key), mapping(template, key)) for key in ("container", "script") if mapping(template, key)
    ]
    found += [Container((*where, *path), one) for path, one in entries(template, "containerSet", "containers")]
    found += [Container((*where, *path), one) for path, one in entries(template, "sidecars")]
    found += [Container((*where, *path), one, init=True) for path, one in entries(template, "initContainers")]
    # What a template does not say the workflow says for all of them.
    spec = {key: value for key, value in workflow.items() if key not in ("templates", "volumes")} | dict(template)
    spec["volumes"] = [one for owner in (workflow, template) for _, one in entries(owner, "volumes")]
    labels = {**mapping(workflow, "podMetadata", "labels"), **mapping(template, "metadata", "labels")}
    return Pod(manifest, where, spec, labels, tuple(found), name)


def _listeners(manifest: Manifest) -> Iterator[Pod]:
    """The pods that Argo Events makes: it adds image, name and command."""
    if manifest.kind == "EventBus":
        where: Pointer = ("spec", "jetstream")
        keys: tuple[str, ...] = ("containerTemplate", "reloaderContainerTemplate", "metricsContainerTemplate")
    else:
        where, keys = ("spec", "template"), ("container",)
    spec = mapping(manifest.document, *where)
    found = tuple(Container((*where, key), mapping(spec, key)) for key in keys)
    if spec:
        yield Pod(manifest, where, spec, mapping(spec, "metadata", "labels"), found, step=manifest.kind)


def _gang(manifest: Manifest, where: Pointer, jobset: Mapping[str, Any], step: str) -> Iterator[Pod]:
    for path, job in entries(jobset, "spec", "replicatedJobs"):
        inner = (*where, *path, "template", "spec", "template")
        yield _pod(manifest, inner, mapping(job, "template", "spec", "template"), step)
