"""The run over there: it is waited for, its troubles are told, and its results are compared with those here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import Datastore, Order
from tests.export.lift import troubles
from tests.export.lift.apiserver import ApiServer, Object
from tests.export.lift.conftest import SPACE, Scene, entry, job, settled, workflow
from tests.export.lift.troubles import waits

SMOKE = Order(smoke="Train")


@pytest.fixture
def one(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A project of one flow, whose pods look for their code in a bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "unused")
    flow = workflow("shop.train", "Train")
    env = [{"name": "METAFLOW_DATASTORE_SYSROOT_S3", "value": "s3://shop/metaflow"}]
    flow["spec"]["templates"][0]["container"]["env"] = env
    scene.documents = [entry("v1", "Namespace", SPACE), flow]
    return scene


def running(**status: Any) -> troubles.Trouble:
    def live(server: ApiServer, found: Object) -> None:
        settled(server, found)
        if found["kind"] == "Workflow":
            found["status"] = status

    return live


def test_a_run_that_gives_the_same_completes_the_lift(one: Scene) -> None:
    compared: list[tuple[str, str, str]] = []

    def compare(flow: str, name: str, store: Datastore) -> Sequence[str]:
        compared.append((flow, name, store.bucket.url))
        return ()

    lifted = one.lift(SMOKE, compare=compare, parameters=lambda flow, template: {"n": "3"})
    assert compared == [("Train", lifted.workflow, "s3://shop/metaflow")]
    made = one.server.objects["Workflow", SPACE, lifted.workflow]
    arguments = {"parameters": [{"name": "n", "value": "3"}]}
    assert made["spec"] == {"workflowTemplateRef": {"name": "shop.train"}, "arguments": arguments}


def test_other_results_are_an_error_and_the_next_try_is_a_run_of_its_own(one: Scene) -> None:
    answers = [["start: model: different"], []]
    compare = {"compare": lambda *of: answers.pop(0)}
    with pytest.raises(BoxError, match="other results") as refused:
        one.lift(SMOKE, **compare)
    assert (refused.value.why, refused.value.code) == ("start: model: different", ExitCode.CHECK_FAILED)
    assert one.lift(Order(resume=True), **compare).number == 1
    assert len([name for name in one.server.names() if name.startswith("Workflow/")]) == 2


def test_a_wait_that_was_too_short_goes_on_with_the_same_run(one: Scene) -> None:
    one.server.live = running(phase="Running", progress="1/3")
    with pytest.raises(BoxError) as slow:
        one.lift(Order(smoke="Train", ready=0.05))
    assert (slow.value.code, slow.value.why) == (ExitCode.TIMED_OUT, "Running 1/3")
    one.server.live = settled
    one.lift(Order(resume=True))
    assert len([name for name in one.server.names() if name.startswith("Workflow/")]) == 1


def test_a_run_that_fails_names_the_step_and_its_last_lines(one: Scene) -> None:
    node = {"type": "Pod", "phase": "Failed", "displayName": "train", "message": "Error (exit code 1)"}
    one.server.live = running(phase="Failed", nodes={"a": node, "b": {**node, "phase": "Succeeded"}})
    one.server.put("Pod", "p1", SPACE, status={"phase": "Failed"})
    one.server.logs["p1"] = "Traceback (most recent call last):\nValueError: no rows\n"
    one.server.before = lambda method, path: _labelled(one.server)
    with pytest.raises(BoxError, match="failed on the cluster") as refused:
        one.lift(SMOKE)
    assert "train: Error (exit code 1)" in refused.value.why
    assert refused.value.why.endswith("ValueError: no rows")


def _labelled(server: ApiServer) -> None:
    """The pod is that of whatever workflow there is."""
    name = next((name for kind, _, name in list(server.objects) if kind == "Workflow"), "")
    server.objects["Pod", SPACE, "p1"]["metadata"]["labels"] = {"workflows.argoproj.io/workflow": name}


def test_a_pod_of_the_run_that_cannot_start(one: Scene) -> None:
    one.server.put("Pod", "p1", SPACE, status=waits("ImagePullBackOff", troubles.PULL))
    one.server.live = running(phase="Running")
    one.server.before = lambda method, path: _labelled(one.server)
    with pytest.raises(BoxError, match="cannot start: ImagePullBackOff"):
        one.lift(SMOKE)


def test_a_run_that_no_controller_picks_up(one: Scene) -> None:
    one.server.live = running()
    with pytest.raises(BoxError, match="is not picked up") as refused:
        one.lift(SMOKE)
    assert "no Argo Workflows controller" in refused.value.why


def test_a_flow_that_the_export_lacks_stops_the_lift_before_it_begins(one: Scene) -> None:
    with pytest.raises(BoxError, match="not ready") as refused:
        one.lift(Order(smoke="Trian"))
    assert "did you mean 'Train'" in refused.value.why
    assert one.changing() == []


def test_what_was_materialized_here_is_materialized_there(scene: Scene) -> None:
    container = {"name": "features", "image": "registry.test/shop/features:1", "command": ["feast", "x"]}
    template = {"metadata": {}, "spec": {"containers": [container]}}
    spec = {"jobTemplate": {"spec": {"template": template}}, "schedule": "17 * * * *"}
    cron = entry("batch/v1", "CronJob", "features-materialize", "features", spec=spec)
    scene.documents = [entry("v1", "Namespace", SPACE), cron]
    intervals = {"planes": ("2013-01-01", "2013-02-01"), "weather": ("2012-12-01", "2013-01-05")}
    scene.lift(migrate=lambda overlay, told: {"materialized": intervals})
    made = scene.server.objects["Job", SPACE, "features-materialize-lift-1"]
    assert made["spec"]["template"]["spec"]["containers"][0]["command"] == [
        "feast",
        "materialize",
        "2012-12-01",
        "2013-02-01",
    ]
    scene.documents.append(job("features-apply-1"))
    scene.lift()
    assert "Job/features-materialize-lift-1" in scene.server.names()
    assert "Job/features-materialize-lift-2" not in scene.server.names()
