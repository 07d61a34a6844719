"""The subset of Argo Workflows that Metaflow emits, run here: DAGs, steps, withParam, retries, exit hooks."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from boxplat.export import document
from boxplat.export.model import Document
from boxplat.export.verify import expressions
from boxplat.export.verify.expressions import Unresolved, filled

SUCCEEDED, FAILED, SKIPPED, OMITTED = "Succeeded", "Failed", "Skipped", "Omitted"
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
Values = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pod or a set of pods ended; `outputs` are the values of what its template declares, by name."""

    status: str
    outputs: Values = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Node:
    """One execution of a template: a pod's with its attempt, or that of a DAG."""

    name: str
    template: str
    status: str
    message: str = ""
    seconds: float = 0.0
    finished: str = ""


class Cluster(Protocol):
    """What runs pods. Both methods return when all has ended; templates in what they get are filled in already."""

    def pod(self, name: str, template: Document) -> Ended:
        """Run a `container` template."""

    def jobset(self, name: str, manifest: Document) -> Ended:
        """Run every pod of a JobSet at once; its outputs are of no use."""

    def stop(self) -> None:
        """End every pod, and begin no more."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A workflow that has ended. `nodes` are its pods in the order in which they ended."""

    name: str
    status: str
    nodes: tuple[Node, ...]

    def failures(self) -> list[Node]:
        return [node for node in self.nodes if node.status == FAILED]


class Workflow:
    """One execution of a WorkflowTemplate.

    Args:
        template: the WorkflowTemplate.
        name: of the workflow; Metaflow's run id is `argo-` and this name.
        cluster: what runs the pods.
        parameters: values in place of the defaults.
        heard: is told of each pod that has ended.
    """

    def __init__(
        self,
        template: Document,
        name: str,
        cluster: Cluster,
        parameters: Values | None = None,
        heard: Callable[[Node], None] = lambda node: None,
    ) -> None:
        self._spec, self._cluster, self._heard = template["spec"], cluster, heard
        self._name = name
        self._templates = {entry["name"]: entry for entry in self._spec["templates"]}
        self._nodes: list[Node] = []
        self._scope = {
            "workflow.name": name,
            "workflow.namespace": template["metadata"]["namespace"],
            "workflow.uid": name,
            "workflow.serviceAccountName": self._spec["serviceAccountName"],
            "workflow.creationTimestamp": datetime.now(UTC).strftime(_STAMP),
        }
        declared = self._spec.get("arguments", {}).get("parameters", [])
        for entry in declared:
            value = (parameters or {}).get(entry["name"], entry.get("value", entry.get("default")))
            if value is not None:
                self._scope[f"workflow.parameters.{entry['name']}"] = value

    def run(self) -> Finished:
        """Run it to its end, exit hooks and all.

        Raises:
            Unresolved: a template, condition or reference that Argo would refuse, or that Metaflow does not write.
        """
        ended = self._template(self._spec["entrypoint"], {}, self._name)
        failures = [
            {
                "displayName": node.name,
                "message": node.message,
                "templateName": node.template,
                "phase": node.status,
                "podName": node.name,
                "finishedAt": node.finished,
            }
            for node in self._nodes
            if node.status == FAILED
        ]
        self._scope |= {
            "workflow.status": ended.status,
            "workflow.failures": json.dumps(json.dumps(failures)),
            "workflow.duration": "0",
        }
        hooks = [hook for hook in self._spec.get("hooks", {}).values() if self._wanted(hook)]
        if "onExit" in self._spec:
            hooks.append({"template": self._spec["onExit"]})
        status = ended.status
        for hook in hooks:
            arguments = _parameters(filled(hook.get("arguments", {}), self._scope))
            done = self._template(hook["template"], arguments, f"{self._name}.onExit")
            status = done.status if done.status == FAILED else status
        return Finished(self._name, status, tuple(self._nodes))

    def _wanted(self, hook: Document) -> bool:
        return "expression" not in hook or expressions.true(hook["expression"], self._scope)

    def _template(self, name: str, arguments: Values, label: str) -> Ended:
        """Run a template, again and again where it has a retry strategy."""
        template = self._templates[name]
        scope = self._scope | _inputs(template, arguments)
        strategy = template.get("retryStrategy")
        if strategy is None:
            return self._once(template, scope, label)
        ended = Ended(FAILED)
        for attempt in range(int(strategy["limit"]) + 1):
            ended = self._once(template, scope | {"retries": str(attempt)}, f"{label}({attempt})")
            if ended.status == SUCCEEDED:
                return ended
        self._note(Node(label, name, FAILED, "No more retries left", finished=_now()))
        return ended

    def _once(self, template: Document, scope: Mapping[str, str], label: str) -> Ended:
        if "dag" in template:
            return _with_outputs(template, *self._dag(template["dag"], scope, label), scope)
        if "steps" in template:
            return self._steps(template["steps"], scope, label)
        kind = next((kind for kind in ("container", "resource") if kind in template), None)
        if kind is None:
            raise Unresolved(f"template {template['name']} is none that Metaflow writes: {sorted(template)}")
        began = time.monotonic()
        run = self._pod if kind == "container" else self._resource
        ended = run(template, scope, label)
        seconds = time.monotonic() - began
        self._note(Node(label, template["name"], ended.status, ended.message, seconds, _now()))
        return ended

    def _note(self, node: Node) -> None:
        self._nodes.append(node)
        self._heard(node)

    def _pod(self, template: Document, scope: Mapping[str, str], label: str) -> Ended:
        return self._cluster.pod(label, filled(template, {**scope, "pod.name": label}))

    def _resource(self, template: Document, scope: Mapping[str, str], label: str) -> Ended:
        manifest = document.load(filled(template["resource"]["manifest"], scope))
        if not isinstance(manifest, dict) or manifest.get("kind") != "JobSet":
            raise Unresolved(f"template {template['name']} creates something else than a JobSet")
        ended = self._cluster.jobset(label, manifest)
        outputs = {entry["name"]: _at(manifest, entry["valueFrom"]["jsonPath"]) for entry in _declared(template)}
        return Ended(ended.status, outputs, ended.message)

    def _steps(self, groups: Sequence[Sequence[Document]], scope: Mapping[str, str], label: str) -> Ended:
        for group in groups:
            for step in group:
                ended = self._task(step, dict(scope), (), f"{label}.{step['name']}")
                if ended.status == FAILED:
                    return Ended(FAILED, message=ended.message)
        return Ended(SUCCEEDED)

    def _dag(self, dag: Document, scope: Mapping[str, str], label: str) -> tuple[str, dict[str, Ended]]:
        """Run the tasks of a DAG as soon as what they depend on has ended; with a failure no more are begun."""
        waiting = {task["name"]: task for task in dag["tasks"]}
        ended: dict[str, Ended] = {}
        running: dict[Future[Ended], str] = {}
        with ThreadPoolExecutor(max_workers=len(waiting)) as pool, self._stopping():
            while waiting or running:
                failed = any(one.status == FAILED for one in ended.values())
                for name in [name for name, task in waiting.items() if _ready(task, ended)]:
                    task = waiting.pop(name)
                    results = {other: one.status for other, one in ended.items()}
                    if failed or not expressions.fulfilled(task.get("depends", ""), results):
                        ended[name] = Ended(OMITTED)
                        continue
                    known, left = _known(scope, ended)
                    running[pool.submit(self._task, task, known, left, f"{label}.{name}")] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                    ended[running.pop(future)] = future.result()
        failed = any(one.status == FAILED for one in ended.values())
        return FAILED if failed else SUCCEEDED, ended

    @contextlib.contextmanager
    def _stopping(self) -> Iterator[None]:
        """End the pods when this is interrupted: the threads that wait for them would go on otherwise."""
        try:
            yield
        except BaseException:
            self._cluster.stop()
            raise

    def _task(self, task: Document, scope: Mapping[str, str], left: tuple[str, ...], label: str) -> Ended:
        """Run a task of a DAG or a step: not at all, once, or for each item of `withParam`."""
        if "withParam" not in task:
            return self._item(task, scope, left, label)
        items = json.loads(filled(task["withParam"], scope))
        if not items:
            return Ended(SKIPPED)
        with ThreadPoolExecutor(max_workers=len(items)) as pool:
            scopes = [{**scope, "item": expressions.text(item)} for item in items]
            labels = [f"{label}({index}:{item['item']})" for index, item in enumerate(scopes)]
            done = list(pool.map(self._item, [task] * len(items), scopes, [left] * len(items), labels))
        names = {name for one in done for name in one.outputs}
        outputs = {name: json.dumps([one.outputs.get(name) for one in done]) for name in sorted(names)}
        failed = next((one for one in done if one.status == FAILED), None)
        return Ended(FAILED, outputs, failed.message) if failed else Ended(SUCCEEDED, outputs)

    def _item(self, task: Document, scope: Mapping[str, str], left: tuple[str, ...], label: str) -> Ended:
        if "when" in task and not expressions.holds(task["when"], scope):
            return Ended(SKIPPED)
        arguments = _parameters(filled(task.get("arguments", {}), scope, left))
        return self._template(task["template"], arguments, label)


def _now() -> str:
    return datetime.now(UTC).strftime(_STAMP)


def _declared(template: Document) -> list[Document]:
    found: list[Document] = template.get("outputs", {}).get("parameters", [])
    return found


def _parameters(arguments: Document) -> dict[str, str]:
    return {entry["name"]: expressions.text(entry["value"]) for entry in arguments.get("parameters", [])}


def _inputs(template: Document, arguments: Values) -> dict[str, str]:
    found = {}
    for entry in template.get("inputs", {}).get("parameters", []):
        name = entry["name"]
        value = arguments.get(name, entry.get("value", entry.get("default")))
        if value is None:
            raise Unresolved(f"nobody gives template {template['name']} its input {name}")
        found[f"inputs.parameters.{name}"] = value
    return found


def _ready(task: Document, ended: Mapping[str, Ended]) -> bool:
    return expressions.named(task.get("depends", "")) <= ended.keys()


def _known(scope: Mapping[str, str], ended: Mapping[str, Ended]) -> tuple[dict[str, str], tuple[str, ...]]:
    """What a task of a DAG can name, and the beginnings of what stays unresolved: outputs of what did not run."""
    found = dict(scope)
    for name, one in ended.items():
        found[f"tasks.{name}.status"] = one.status
        found |= {f"tasks.{name}.outputs.parameters.{key}": value for key, value in one.outputs.items()}
    return found, tuple(f"tasks.{name}." for name, one in ended.items() if one.status in (SKIPPED, OMITTED))


def _with_outputs(template: Document, status: str, ended: Mapping[str, Ended], scope: Mapping[str, str]) -> Ended:
    """The end of a DAG, with those outputs that it passes on from its tasks."""
    message = next((one.message for one in ended.values() if one.status == FAILED), "")
    if status == FAILED:
        return Ended(FAILED, message=message)
    known, left = _known(scope, ended)
    outputs = {}
    for entry in _declared(template):
        source = entry["valueFrom"]
        outputs[entry["name"]] = (
            filled(source["parameter"], known, left)
            if "parameter" in source
            else expressions.text(filled(f"{{{{={source['expression']}}}}}", known))
        )
    return Ended(status, outputs)


def _at(manifest: Document, path: str) -> str:
    """What a JSON path such as `{.metadata.labels.num_parallel}` leads to."""
    found: Any = manifest
    for key in path.strip("{}").strip(".").split("."):
        found = found[key]
    return expressions.text(found)
