"""The graph of an Argo workflow: every task leads somewhere, and gets what it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from boxplat.export.check.model import Found, Manifest
from boxplat.export.check.pods import workflow
from boxplat.export.check.rules import each_document
from boxplat.export.pointers import Pointer, entries, leaves, mapping, text

_TASK = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_READ = re.compile(r"\{\{=?[^{}]*?\binputs\.(parameters|artifacts)\.([\w-]+)")
_OUTPUT = re.compile(r"\{\{=?[^{}]*?\b(?:tasks|steps)\.([\w-]+)\.outputs\.(parameters|artifacts)\.([\w-]+)")
_WORKFLOW = re.compile(r"\{\{=?[^{}]*?\bworkflow\.parameters\.([\w-]+)")
_RESULTS = frozenset({"Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed"})


def _templates(manifest: Manifest) -> Iterator[tuple[Pointer, Mapping[str, Any], dict[str, Mapping[str, Any]]]]:
    path, spec = workflow(manifest)
    every = {text(one, "name"): one for _, one in entries(spec, "templates")}
    for place, template in entries(spec, "templates"):
        yield (*path, *place), template, every


def _tasks(template: Mapping[str, Any]) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    yield from entries(template, "dag", "tasks")
    steps = template.get("steps")
    for number, together in enumerate(steps if isinstance(steps, list) else ()):
        for path, task in entries({"all": together}, "all"):
            yield ("steps", number, *path[1:]), task


@each_document("argo-task-template")
def task_template(manifest: Manifest) -> Iterator[Found]:
    """A task runs a template that the workflow has."""
    for where, template, every in _templates(manifest):
        for path, task in _tasks(template):
            if "template" in task and task["template"] not in every:
                yield (*where, *path, "template"), f"no template {task['template']!r}"


@each_document("argo-dependency")
def dependency(manifest: Manifest) -> Iterator[Found]:
    """A task waits for tasks of the same graph, and none for itself by a detour."""
    for where, template, _ in _templates(manifest):
        graph = {text(task, "name"): _awaited(task) for _, task in entries(template, "dag", "tasks")}
        for path, task in entries(template, "dag", "tasks"):
            for name in sorted(_awaited(task) - graph.keys()):
                yield (*where, *path), f"it waits for {name!r}, which is no task"
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            yield (*where, "dag", "tasks"), f"a circle: {' → '.join(map(str, error.args[1]))}"


def _awaited(task: Mapping[str, Any]) -> set[str]:
    """The tasks of `depends` (`a.Succeeded && (b || !c)`) and `dependencies`."""
    parts = re.split(r"[\s&|!()]+", text(task, "depends"))
    names = {part.partition(".")[0] for part in parts if part}
    listed = task.get("dependencies")
    return names | {str(name) for name in (listed if isinstance(listed, list) else ())}


@each_document("argo-depends-result")
def depends_result(manifest: Manifest) -> Iterator[Found]:
    """A task waits for a result that Argo knows."""
    for where, template, _ in _templates(manifest):
        for path, task in entries(template, "dag", "tasks"):
            for part in re.split(r"[\s&|!()]+", text(task, "depends")):
                name, dot, result = part.partition(".")
                if (dot and result not in _RESULTS) or (part and not _TASK.fullmatch(name)):
                    yield (*where, *path, "depends"), f"{part!r} is no result"


@each_document("argo-input-undeclared")
def input_undeclared(manifest: Manifest) -> Iterator[Found]:
    """A template reads only the inputs that it declares, and the parameters that the workflow has."""
    _, spec = workflow(manifest)
    given = {text(one, "name") for _, one in entries(spec, "arguments", "parameters")}
    for where, template, _ in _templates(manifest):
        declared = {
            (kind, text(one, "name"))
            for kind in ("parameters", "artifacts")
            for _, one in entries(template, "inputs", kind)
        }
        for leaf, value in leaves(template):
            if not isinstance(value, str):
                continue
            for kind, name in _READ.findall(value):
                if (kind, name) not in declared:
                    yield (*where, *leaf), f"the template has no input {name!r}"
            for name in _WORKFLOW.findall(value):
                if name not in given:
                    yield (*where, *leaf), f"the workflow has no parameter {name!r}"


@each_document("argo-input-missing")
def input_missing(manifest: Manifest) -> Iterator[Found]:
    """A task gives its template every input that has no default, and none that it does not have."""
    for where, template, every in _templates(manifest):
        for path, task in _tasks(template):
            if task.get("template") not in every:
                continue
            wanted = dict(_inputs(every[task["template"]]))
            given = {text(one, "name") for _, one in entries(task, "arguments", "parameters")}
            for name in sorted(name for name, needed in wanted.items() if needed and name not in given):
                yield (*where, *path, "arguments"), f"{task['template']} needs {name!r}"


def _inputs(template: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The names of a template's parameters, and whether a value must be given."""
    for _, one in entries(template, "inputs", "parameters"):
        yield text(one, "name"), not ({"value", "default", "valueFrom"} & set(one))


@each_document("argo-output-unknown")
def output_unknown(manifest: Manifest) -> Iterator[Found]:
    """An output that is read is one of a task of the same graph."""
    for where, template, every in _templates(manifest):
        tasks = {text(task, "name"): every.get(text(task, "template"), {}) for _, task in _tasks(template)}
        if not tasks:
            continue
        for leaf, value in leaves(template):
            for name, kind, key in _OUTPUT.findall(value) if isinstance(value, str) else ():
                made = {text(one, "name") for _, one in entries(tasks.get(name), "outputs", kind)}
                if name not in tasks:
                    yield (*where, *leaf), f"no task {name!r}"
                elif key not in made and mapping(tasks[name]):
                    yield (*where, *leaf), f"{name} has no output {key!r}"


RULES = (task_template, dependency, depends_result, input_undeclared, input_missing, output_unknown)
