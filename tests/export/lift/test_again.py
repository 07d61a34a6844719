"""Interrupted and gone on with, gone back, killed at any point: the cluster ends as if nothing had happened."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import Action, Moves, Order
from boxplat.export.lift.journal import Lifts, Target
from tests.export.lift import troubles
from tests.export.lift.apiserver import ApiServer, Object
from tests.export.lift.conftest import SPACE, Scene, deployment, settled
from tests.export.lift.troubles import of


def image(scene: Scene, name: str) -> str:
    spec = scene.server.objects["Deployment", SPACE, name]["spec"]["template"]["spec"]
    found: str = spec["containers"][0]["image"]
    return found


def release(scene: Scene, number: int) -> None:
    scene.documents[2] = deployment("delay", 2, container={"image": f"registry.test/shop/delay:{number}"})


def test_a_lift_that_failed_goes_on_without_doing_the_rest_again(scene: Scene) -> None:
    done: list[str] = []
    work = {
        "images": lambda told: bool(done.append("images")),
        "migrate": lambda overlay, told: done.append("migrate") or {},
    }
    scene.server.live = of("delay", troubles.CRASHED)
    with pytest.raises(BoxError, match="does not stay up"):
        scene.lift(Order(images=True, smoke="Train"), **work)
    scene.server.live = settled
    lifted = scene.lift(Order(resume=True), **work)
    assert done == ["images", "migrate"]
    assert lifted.number == 1
    assert lifted.workflow.startswith("shop.train-smoke-")
    assert scene.events == ["lift.began", "lift.failed", "lift.began", "lift.done"]


def test_there_is_nothing_to_go_on_with(scene: Scene) -> None:
    for why in ("nothing was lifted there yet", "lift 1 is complete"):
        with pytest.raises(BoxError, match="nothing to go on with") as refused:
            scene.lift(Order(resume=True))
        assert (refused.value.why, refused.value.code) == (why, ExitCode.NOT_FOUND)
        scene.lift()


def test_the_move_of_history_is_not_forgotten_when_a_lift_goes_on(scene: Scene) -> None:
    def breaks(overlay: str, told: object) -> dict[str, int]:
        raise BoxError("the database is away", why="refused", fix="start it")

    with pytest.raises(BoxError, match="database is away"):
        scene.lift(migrate=breaks)
    with pytest.raises(BoxError) as refused:
        scene.lift(Order(resume=True))
    assert "box lift --resume --to-database-env NAME" in refused.value.fix


def test_history_goes_to_the_stores_of_the_overlay_that_is_lifted(scene: Scene) -> None:
    """Whoever goes on, or brings an export of one overlay, does not name it again."""
    asked: list[str] = []

    def breaks(overlay: str, told: object) -> dict[str, int]:
        raise BoxError("the database is away", why="refused", fix="start it")

    def moves(overlay: str, told: object) -> dict[str, int]:
        asked.append(f"moved {overlay}")
        return {}

    def migration(overlay: str) -> Moves:
        asked.append(f"planned {overlay}")
        return Moves()

    with pytest.raises(BoxError, match="database is away"):
        scene.lift(Order(overlay="prod"), migrate=breaks)
    scene.lift(Order(resume=True), migrate=moves, migration=migration)
    folder = scene.root / "k8s"
    folder.mkdir()
    scene.export(folder, "staging")
    scene.lift(Order(source=folder), migrate=moves, migration=migration)
    assert asked == ["planned prod", "moved prod", "planned staging", "moved staging"]


def test_images_of_a_lift_that_goes_on_are_exported_for_its_overlay(scene: Scene) -> None:
    def breaks(told: object) -> bool:
        raise BoxError("the registry is away", why="refused", fix="start it")

    with pytest.raises(BoxError, match="registry is away"):
        scene.lift(Order(overlay="prod", images=True), images=breaks)
    assert scene.lift(Order(resume=True), images=lambda told: True).plan.overlay == "prod"


def test_a_job_that_has_failed_is_made_anew(scene: Scene) -> None:
    """Kubernetes keeps it for a week and never runs it again, and applying the same changes nothing."""
    condition = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "reached the limit"}

    def fails(server: ApiServer, live: Object) -> None:
        settled(server, live)
        if live["kind"] == "Job":
            live["status"] = {"conditions": [condition]}

    def recovers(server: ApiServer, live: Object) -> None:
        # A Job that has ended stays as it is.
        if live["kind"] != "Job" or not live.get("status"):
            settled(server, live)

    scene.server.live = fails
    with pytest.raises(BoxError, match="features-apply-1 failed"):
        scene.lift()
    scene.server.live = recovers
    plan = scene.lift(Order(resume=True)).plan
    assert [step.ref.name for step in plan.steps if step.action is Action.REPLACE] == ["features-apply-1"]
    again = scene.lift().plan
    assert {step.action for step in again.steps} == {Action.SAME}


def killed_after(scene: Scene, requests: int) -> bool:
    """A lift in a process of its own, killed at its n-th request that changes something; False: it was done before."""
    child = multiprocessing.get_context("fork").Process(target=scene.lift)
    started, left = threading.Event(), [requests]

    def before(method: str, path: str) -> None:
        # It may ask before this process has noted its number.
        started.wait()
        if method in ("PATCH", "DELETE") and child.pid:
            left[0] -= 1
            if left[0] == 0:
                os.kill(child.pid, signal.SIGKILL)

    scene.server.before = before
    child.start()
    started.set()
    child.join(120)
    # The server still does what it was asked last.
    with scene.server.lock:
        scene.server.before = lambda method, path: None
    return child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_point_and_gone_on_with(scene: Scene, seed: int) -> None:
    release(scene, 1)
    scene.lift()
    release(scene, 2)
    scene.documents = [one for one in scene.documents if one["kind"] != "WorkflowTemplate"]
    # 11 dry runs of the plan, 11 before the waves, 11 of the waves, one deletion.
    assert killed_after(scene, random.Random(seed).randint(12, 34))
    begun = Lifts(scene.root / ".box" / "lift").all()[-1]
    lifted = scene.lift(Order(resume=True)) if begun.number == 2 else scene.lift()
    assert lifted.number == 2
    assert image(scene, "delay") == "registry.test/shop/delay:2"
    assert "WorkflowTemplate/shop.train" not in scene.server.names()
    after = scene.lift(Order(plan=True)).plan
    assert {step.action for step in after.steps} == {Action.SAME}


def test_what_a_killed_lift_had_made_is_deleted_by_the_next(scene: Scene) -> None:
    """Its objects are in no complete lift, and in no later export."""
    made = len(scene.documents)
    assert killed_after(scene, 3 * made)
    assert "WorkflowTemplate/shop.train" in scene.server.names()
    scene.documents = [one for one in scene.documents if one["kind"] != "WorkflowTemplate"]
    scene.lift()
    assert "WorkflowTemplate/shop.train" not in scene.server.names()


def test_a_line_of_the_journal_that_was_cut_off_spoils_no_other(scene: Scene) -> None:
    scene.lift()
    journal = scene.root / ".box" / "lift" / "1" / "journal.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"at": 1, "step": "pru')
    lift = Lifts(scene.root / ".box" / "lift").all()[0]
    assert lift.complete
    assert len(lift.objects()) == len(scene.documents)
    lift.note("pruned", ref=asdict(min(lift.objects())))
    assert len(Lifts(scene.root / ".box" / "lift").all()[0].objects()) == len(scene.documents) - 1


def test_back_to_the_lift_before_and_forth_again(scene: Scene) -> None:
    release(scene, 1)
    scene.lift()
    before = scene.state()
    release(scene, 2)
    scene.documents = [one for one in scene.documents if one["kind"] != "HTTPRoute"]
    scene.lift()
    assert image(scene, "delay").endswith(":2")
    plan = scene.lift(Order(rollback=True)).plan
    assert plan.of == 1
    assert plan.work == ("goes back to lift 1; databases and data stay as they are",)
    assert image(scene, "delay").endswith(":1")
    assert "HTTPRoute/delay" in scene.server.names()
    for one in (*before.values(), *(after := scene.state()).values()):
        one["metadata"].pop("generation", None)
    assert after == before
    scene.lift(Order(rollback=True))
    assert image(scene, "delay").endswith(":2")
    assert "HTTPRoute/delay" not in scene.server.names()


def test_back_from_a_lift_that_failed_half_way(scene: Scene) -> None:
    release(scene, 1)
    scene.lift()
    release(scene, 2)
    scene.server.live = of("delay", troubles.CRASHED)
    with pytest.raises(BoxError):
        scene.lift()
    assert image(scene, "delay").endswith(":2")
    scene.server.live = settled
    exported: list[tuple[Path, str]] = []
    scene.lift(
        Order(rollback=True), export=lambda *given: exported.append(given), migrate=lambda overlay, told: {"never": 1}
    )
    assert image(scene, "delay").endswith(":1")
    assert exported == []


def test_back_to_a_chosen_lift(scene: Scene) -> None:
    for number in (1, 2, 3):
        release(scene, number)
        scene.lift()
    scene.lift(Order(rollback=True, to=1))
    assert image(scene, "delay").endswith(":1")
    with pytest.raises(BoxError, match="no lift to go back to") as refused:
        scene.lift(Order(rollback=True, to=9))
    assert refused.value.why == "complete lifts before the newest: 1, 2, 3"


def test_a_kept_export_that_was_tampered_with_is_not_gone_back_to(scene: Scene) -> None:
    scene.lift()
    scene.lift()
    (scene.root / ".box" / "lift" / "1" / "export" / "rendered" / "dev.yaml").write_text("{}")
    with pytest.raises(BoxError, match="not as it was exported"):
        scene.lift(Order(rollback=True))


def test_lifts_to_other_clusters_and_namespaces_do_not_mix(tmp_path: Path, scene: Scene) -> None:
    lifts = Lifts(tmp_path / "lift")
    scene.export(tmp_path / "export")
    here, there = Target("https://a", SPACE, "x"), Target("https://b", SPACE, "x")
    lifts.begin(tmp_path / "export", here, "dev")
    lifts.begin(tmp_path / "export", Target("https://a", "other", "x"), "dev")
    assert [lift.number for lift in lifts.to(here)] == [1]
    assert [lift.number for lift in lifts.to(Target("https://a", SPACE, "renamed"))] == [1]
    assert lifts.to(there) == []


def test_only_the_newest_complete_lifts_are_kept(tmp_path: Path, scene: Scene) -> None:
    lifts, here = Lifts(tmp_path / "lift"), Target("https://a", SPACE, "x")
    scene.export(tmp_path / "export")
    for _ in range(13):
        lifts.begin(tmp_path / "export", here, "dev").note("done")
    assert [lift.number for lift in lifts.all()] == list(range(3, 14))
