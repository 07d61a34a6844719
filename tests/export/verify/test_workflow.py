"""The order of things in a workflow, with pods that only answer; real pods are in test_pods and test_proof."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from boxplat.export.verify.expressions import Unresolved
from boxplat.export.verify.workflow import FAILED, SUCCEEDED, Ended, Finished, Workflow

Answer = Callable[[str, dict[str, Any]], Ended]


class Answers:
    """A cluster whose pods end at once as told; `asked` are the pods in the order in which they began."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self._lock, self.stopped = answer, threading.Lock(), False
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def pod(self, name: str, template: dict[str, Any]) -> Ended:
        with self._lock:
            self.asked.append((template["name"], template))
        return self._answer(name, template)

    def jobset(self, name: str, manifest: dict[str, Any]) -> Ended:
        return self.pod(name, {"name": manifest["metadata"]["name"], "manifest": manifest})

    def stop(self) -> None:
        self.stopped = True


def pod(name: str, inputs: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    command = ["run", *(f"{{{{inputs.parameters.{one}}}}}" for one in inputs)]
    parameters = [{"name": one} for one in inputs]
    return {"name": name, "container": {"command": command}, "inputs": {"parameters": parameters}, **more}


def task(name: str, depends: str = "", template: str = "", **more: Any) -> dict[str, Any]:
    return {"name": name, "template": template or name, "depends": depends, **more}


def given(value: str, name: str = "x") -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value}]}


def run(tasks: list[dict[str, Any]], templates: list[dict[str, Any]], cluster: Answers, **spec: Any) -> Finished:
    main = {"name": "main", "dag": {"tasks": tasks}}
    document = {
        "metadata": {"name": "t", "namespace": "n"},
        "spec": {"entrypoint": "main", "serviceAccountName": "flows", "templates": [main, *templates], **spec},
    }
    return Workflow(document, "t-1", cluster).run()


def well(name: str, template: dict[str, Any]) -> Ended:
    return Ended(SUCCEEDED, {"out": json.dumps([1, 2])})


def test_tasks_wait_for_what_they_depend_on_and_get_its_outputs() -> None:
    cluster = Answers(well)
    inner = {
        "name": "each",
        "inputs": {"parameters": [{"name": "x"}]},
        "dag": {"tasks": [task("leaf", arguments=given("<{{inputs.parameters.x}}>"))]},
    }
    tasks = [
        task("c", "b.Succeeded", arguments=given("{{tasks.a.outputs.parameters.out}}")),
        task("b", "a.Succeeded", "each", withParam="{{tasks.a.outputs.parameters.out}}", arguments=given("{{item}}")),
        task("a"),
    ]
    done = run(tasks, [pod("a"), inner, pod("leaf", ("x",)), pod("c", ("x",))], cluster)
    asked = [(name, template["container"]["command"][1:]) for name, template in cluster.asked]
    assert done.status == SUCCEEDED
    assert asked[0] == ("a", []) and asked[-1] == ("c", ["[1, 2]"])
    assert sorted(asked[1:3]) == [("leaf", ["<1>"]), ("leaf", ["<2>"])]


def test_attempts_are_counted_and_end_with_the_limit() -> None:
    strategy = {"retryStrategy": {"limit": 2, "retryPolicy": "Always"}}
    template = pod("a", **strategy) | {"metadata": {"annotations": {"attempt": "{{retries}}"}}}
    cluster = Answers(lambda name, template: Ended(FAILED, message="no"))
    done = run([task("a")], [template], cluster)
    assert [entry["metadata"]["annotations"]["attempt"] for _, entry in cluster.asked] == ["0", "1", "2"]
    assert done.status == FAILED and done.failures()[-1].message == "No more retries left"


def test_after_a_failure_nothing_is_begun_and_the_exit_hook_hears_of_it() -> None:
    hook = {
        "name": "hook",
        "steps": [[{"name": "tell", "template": "tell", "when": "{{workflow.status}} != Succeeded"}]],
    }
    tell = pod("tell") | {"container": {"command": ["{{workflow.failures}}"]}}
    cluster = Answers(
        lambda name, template: Ended(FAILED, message="broke") if template["name"] == "a" else well(name, template)
    )
    done = run([task("a"), task("b", "a.Succeeded")], [pod("a"), pod("b"), hook, tell], cluster, onExit="hook")
    assert [name for name, _ in cluster.asked] == ["a", "tell"]
    told = json.loads(json.loads(cluster.asked[1][1]["container"]["command"][0]))
    assert [(one["templateName"], one["message"]) for one in told] == [("a", "broke")]
    assert done.status == FAILED


def test_a_branch_that_was_not_chosen_is_skipped_and_its_outputs_stay_unresolved() -> None:
    cluster = Answers(well)
    tasks = [
        task("a"),
        task("left", "a.Succeeded", when="{{tasks.a.status}} == Failed"),
        task("end", "left.Succeeded || left.Skipped", arguments=given("{{tasks.left.outputs.parameters.out}}")),
    ]
    assert run(tasks, [pod("a"), pod("left"), pod("end", ("x",))], cluster).status == SUCCEEDED
    assert [name for name, _ in cluster.asked] == ["a", "end"]
    assert cluster.asked[1][1]["container"]["command"] == ["run", "{{tasks.left.outputs.parameters.out}}"]


def test_a_jobset_is_filled_in_and_passes_on_its_labels() -> None:
    manifest = """\
kind: JobSet
metadata:
  name: js
  labels:
    n: "{{inputs.parameters.x}}"
replicas: {{=asInt(inputs.parameters.x)}}
"""
    outputs = {"parameters": [{"name": "n", "valueFrom": {"jsonPath": "{.metadata.labels.n}"}}]}
    gang = {"name": "gang", "inputs": {"parameters": [{"name": "x"}]}, "outputs": outputs}
    cluster = Answers(well)
    tasks = [
        task("gang", arguments=given("2")),
        task("b", "gang.Succeeded", arguments=given("{{tasks.gang.outputs.parameters.n}}")),
    ]
    run(tasks, [gang | {"resource": {"action": "create", "manifest": manifest}}, pod("b", ("x",))], cluster)
    assert cluster.asked[0][1]["manifest"]["replicas"] == 2
    assert cluster.asked[1][1]["container"]["command"] == ["run", "2"]


@pytest.mark.parametrize(
    "template", [{"name": "a", "script": {}}, pod("a", ("x",)), {"name": "a", "resource": {"manifest": "kind: Job"}}]
)
def test_what_metaflow_does_not_write_is_refused(template: dict[str, Any]) -> None:
    with pytest.raises(Unresolved):
        run([task("a")], [template], Answers(well))


def test_an_interruption_ends_the_pods() -> None:
    def interrupted(name: str, template: dict[str, Any]) -> Ended:
        raise KeyboardInterrupt

    cluster = Answers(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run([task("a")], [pod("a")], cluster)
    assert cluster.stopped
