"""A lift from beginning to end: what is said before, what is applied in which order, what a second one changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import Action, Moves, Order
from tests.export.lift.conftest import SPACE, Scene, deployment, entry, job


def test_waves_go_from_what_is_needed_to_what_needs_it(scene: Scene) -> None:
    lifted = scene.lift()
    assert scene.server.applied == [
        "Namespace/shop", "PriorityClass/box-batch", "ResourceQuota/quota",
        "ServiceAccount/delay", "PersistentVolumeClaim/data",
        "Service/tracking", "Deployment/tracking",
        "Job/features-apply-1",
        "Service/delay", "Deployment/delay",
        "WorkflowTemplate/shop.train",
        "HTTPRoute/delay",
    ]  # fmt: skip
    assert lifted.number == 1
    assert scene.events == ["lift.began", "lift.done"]


def test_a_plan_changes_nothing_and_says_what_would_be_done(scene: Scene) -> None:
    plan = scene.lift(Order(plan=True)).plan
    assert scene.changing() == []
    assert plan.count(Action.CREATE) == 11
    assert plan.count(Action.CHANGE) == 1
    assert [finding.rule for finding in plan.dangers] == ["first"]
    assert list((scene.root / ".box" / "lift").glob("[0-9]*")) == []


def test_who_does_not_agree_changes_nothing(scene: Scene) -> None:
    scene.agrees = False
    assert scene.lift().number == 0
    assert len(scene.plans) == 1
    assert scene.changing() == []
    assert scene.events == []


def test_a_second_lift_of_the_same_changes_nothing(scene: Scene) -> None:
    scene.lift()
    before = scene.state()
    plan = scene.lift().plan
    assert {step.action for step in plan.steps} == {Action.SAME}
    assert plan.dangers == []
    assert scene.state() == before


def test_what_the_export_no_longer_has_goes_but_data_and_what_is_shared_stay(scene: Scene) -> None:
    scene.lift()
    gone = {"PersistentVolumeClaim", "PriorityClass", "WorkflowTemplate"}
    scene.documents = [one for one in scene.documents if one["kind"] not in gone]
    plan = scene.lift().plan
    assert {str(step.ref): step.action for step in plan.steps if step.action in (Action.DELETE, Action.LEAVE)} == {
        "WorkflowTemplate/shop.train": Action.DELETE,
        "PersistentVolumeClaim/data": Action.LEAVE,
        "PriorityClass/box-batch": Action.LEAVE,
    }
    assert "delete" in [finding.rule for finding in plan.dangers]
    assert "WorkflowTemplate/shop.train" not in scene.server.names()
    assert {"PersistentVolumeClaim/data", "PriorityClass/box-batch"} <= scene.server.names()
    assert any("kubectl -n shop delete persistentvolumeclaim data" in line for line in scene.told)


def test_what_somebody_else_made_under_the_name_is_not_deleted(scene: Scene) -> None:
    scene.lift()
    scene.documents = [one for one in scene.documents if one["kind"] != "WorkflowTemplate"]
    scene.server.put("WorkflowTemplate", "shop.train", SPACE, spec={})
    scene.lift()
    assert "WorkflowTemplate/shop.train" in scene.server.names()


def test_what_was_lifted_from_another_machine_goes_too(scene: Scene) -> None:
    """Its journal is not here: the labels tell."""
    labels = scene.documents[2]["metadata"]["labels"]
    scene.server.put("Deployment", "former", SPACE, metadata={"labels": labels}, spec={"replicas": 1})
    owned = {"labels": labels, "ownerReferences": [{"uid": "x"}]}
    scene.server.put("Deployment", "made-by-a-controller", SPACE, metadata=owned, spec={"replicas": 1})
    scene.server.put("Deployment", "somebody-elses", SPACE, spec={"replicas": 1})
    plan = scene.lift(Order(plan=True)).plan
    assert [str(step.ref) for step in plan.steps if step.action is Action.DELETE] == ["Deployment/former"]
    scene.lift()
    assert {"Deployment/made-by-a-controller", "Deployment/somebody-elses"} <= scene.server.names()
    assert "Deployment/former" not in scene.server.names()


def test_a_missing_namespace_is_made_before_the_dry_run(scene: Scene) -> None:
    del scene.server.objects["Namespace", "", SPACE]
    scene.documents = [one for one in scene.documents if one["kind"] in ("Namespace", "Service")]
    plan = scene.lift().plan
    assert plan.count(Action.CREATE) == 3
    first = scene.changing()[0]
    assert first == f"PATCH /api/v1/namespaces/{SPACE}"
    tried = [path for method, path, query in scene.server.asked if "dryRun" in query and "services" in path]
    assert len(tried) == 2


def test_a_changed_job_is_replaced(scene: Scene) -> None:
    scene.documents = [entry("v1", "Namespace", SPACE), job("features-apply-1")]
    scene.lift()
    scene.documents = [entry("v1", "Namespace", SPACE), job("features-apply-1", image="2")]
    plan = scene.lift().plan
    assert plan.count(Action.REPLACE) == 1
    assert "replace" in [finding.rule for finding in plan.dangers]
    image = scene.server.objects["Job", SPACE, "features-apply-1"]["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image.endswith(":2")


def test_faults_of_the_export_stop_the_lift(scene: Scene) -> None:
    with pytest.raises(BoxError, match="1 faults") as refused:
        scene.lift(check=lambda folder: ["Deployment/delay: image-latest: delay:latest"])
    assert refused.value.code == ExitCode.CHECK_FAILED
    assert "image-latest" in refused.value.why
    assert scene.server.asked == []


def test_an_export_that_was_changed_by_hand_is_not_lifted(scene: Scene, tmp_path: Path) -> None:
    scene.export(tmp_path / "k8s")
    (tmp_path / "k8s" / "rendered" / "dev.yaml").write_text("kind: Nothing\n")
    with pytest.raises(BoxError, match="not as it was exported") as refused:
        scene.lift(Order(source=tmp_path / "k8s"))
    assert "rendered/dev.yaml" in refused.value.why


def test_new_digests_of_images_are_exported_before_anything_is_applied(scene: Scene) -> None:
    def built(told: object) -> bool:
        container = scene.documents[2]["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"registry.test/shop/delay@sha256:{'a' * 64}"
        return True

    plan = scene.lift(Order(images=True), images=built).plan
    assert plan.work == ("builds and pushes the images, then exports again with their digests",)
    container = scene.server.objects["Deployment", SPACE, "delay"]["spec"]["template"]["spec"]["containers"][0]
    assert container["image"].endswith("a" * 64)


def test_history_is_moved_before_the_servers_start(scene: Scene) -> None:
    moved: list[list[str]] = []

    def migrate(overlay: str, told: object) -> dict[str, int]:
        moved.append(list(scene.server.applied))
        return {"rows": 7}

    plan = scene.lift(migrate=migrate, migration=lambda overlay: Moves(("moves 7 rows",))).plan
    assert plan.work == ("moves 7 rows",)
    assert moved == [[]]


def test_no_secret_is_in_the_journal_the_talk_or_the_plan(scene: Scene) -> None:
    scene.lift()
    written = b"".join(path.read_bytes() for path in (scene.root / ".box" / "lift").rglob("*") if path.is_file())
    said = "\n".join([*scene.told, repr(scene.plans)])
    for secret in ("sesame-open", "c2VjcmV0LXZhbHVl", "secret-value"):
        assert secret.encode() not in written
        assert secret not in said
    assert scene.server.tokens == {"Bearer sesame-open"}


def test_the_folders_of_a_lift_are_private(scene: Scene) -> None:
    scene.lift()
    lifts = scene.root / ".box" / "lift"
    assert {path.stat().st_mode & 0o077 for path in (lifts, lifts / "1")} == {0}
    assert (lifts / "1" / "journal.jsonl").stat().st_mode & 0o077 == 0


def test_two_lifts_at_once_are_refused(scene: Scene) -> None:
    def again(folder: Path, overlay: str) -> None:
        with pytest.raises(BoxError, match="another `box lift`"):
            scene.lift()
        scene.export(folder)

    assert scene.lift(export=again).number == 1


def test_what_a_person_scaled_is_refused_until_it_is_taken_over(scene: Scene) -> None:
    scene.lift()
    owned = scene.server.owners["Deployment", SPACE, "delay"]
    owned["kubectl"] = {("spec", "replicas"): 5}
    scene.documents[2] = deployment("delay", 3)
    with pytest.raises(BoxError, match="not ready") as refused:
        scene.lift()
    assert 'Deployment/delay: .spec.replicas: conflict with "kubectl"' in refused.value.why
    assert "box lift --take-over" in refused.value.fix
    scene.lift(Order(take_over=True))
    assert scene.server.objects["Deployment", SPACE, "delay"]["spec"]["replicas"] == 3
