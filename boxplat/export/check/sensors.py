"""Sensors: their events, what they start, and for whom."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.rules import each_document, whole
from boxplat.export.pointers import Pointer, entries, mapping, text

_PARAMETER = re.compile(r"spec\.arguments\.parameters\.#\(name==?\"?([^)\"]+)\"?\)\.value")
_STARTS = ("argoWorkflow", "k8s")


def _triggers(manifest: Manifest) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    if manifest.kind == "Sensor":
        for path, trigger in entries(manifest.document, "spec", "triggers"):
            yield (*path, "template"), mapping(trigger, "template")


@each_document("sensor-empty")
def empty(manifest: Manifest) -> Iterator[Found]:
    """A sensor waits for some event, and starts something."""
    if manifest.kind == "Sensor":
        for key in ("dependencies", "triggers"):
            if not any(True for _ in entries(manifest.spec, key)):
                yield ("spec", key), "there is none"


@each_document("sensor-dependency")
def dependency(manifest: Manifest) -> Iterator[Found]:
    """A sensor's triggers read events that it waits for."""
    known = {text(one, "name") for _, one in entries(manifest.spec, "dependencies")}
    for path, template in _triggers(manifest):
        for word in re.split(r"[\s&|!()]+", text(template, "conditions")):
            if word and word not in known:
                yield (*path, "conditions"), f"no dependency {word!r}"
        for kind in _STARTS:
            for place, parameter in entries(template, kind, "parameters"):
                name = text(parameter, "src", "dependencyName")
                if name not in known:
                    yield (*path, *place), f"no dependency {name!r}"


@each_document("sensor-trigger")
def trigger(manifest: Manifest) -> Iterator[Found]:
    """A trigger does exactly one thing; one that starts a workflow carries it, in the sensor's namespace."""
    for path, template in _triggers(manifest):
        kinds = sorted(set(template) - {"name", "conditions", "conditionsReset"})
        if len(kinds) != 1:
            yield path, f"it is {', '.join(kinds) or 'nothing'}"
        for kind in set(kinds) & set(_STARTS):
            started = mapping(template, kind, "source", "resource")
            there = text(started, "metadata", "namespace")
            if not started:
                yield (*path, kind, "source"), "no workflow"
            elif there != text(manifest.document, "metadata", "namespace"):
                yield (*path, kind, "source", "resource", "metadata", "namespace"), f"it is {there!r}"


@whole("sensor-parameter")
def parameter(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """What a sensor passes to a workflow are parameters that its template has."""
    known = {one.name: _parameters(one.spec) for one in manifests.of_kind("WorkflowTemplate")}
    for sensor in manifests.of_kind("Sensor"):
        for path, template in _triggers(sensor):
            for kind in _STARTS:
                started = mapping(template, kind, "source", "resource", "spec")
                wanted = known.get(text(started, "workflowTemplateRef", "name"))
                for name in sorted(_parameters(started) - wanted) if wanted is not None else ():
                    yield sensor, (*path, kind, "source", "resource", "spec", "arguments"), f"no parameter {name!r}"
                for place, one in entries(template, kind, "parameters"):
                    match = _PARAMETER.fullmatch(text(one, "dest"))
                    if match and match[1] not in _parameters(started):
                        yield sensor, (*path, *place, "dest"), f"the workflow gets no parameter {match[1]!r}"


def _parameters(spec: Mapping[str, Any]) -> set[str]:
    return {text(one, "name") for _, one in entries(spec, "arguments", "parameters")}


RULES = (empty, dependency, trigger, parameter)
