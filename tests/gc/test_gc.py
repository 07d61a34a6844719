"""box gc on a box with real datastores: it frees what it says, and whatever must stay can still be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxplat.adapters import tracking_store
from boxplat.adapters.flows_store import FlowStore
from boxplat.box import Box
from boxplat.cli import box as box_command
from boxplat.core import flowlock
from boxplat.core.errors import BoxError
from boxplat.core.model import RunState
from boxplat.core.sizes import on_disk
from boxplat.core.state.disposal import Freed
from boxplat.gc import Outcome, freeing
from boxplat.runs.control import start
from tests.gc.conftest import Loader
from tests.gc.filling import Filling, Registered, paths_of

pytestmark = pytest.mark.integration


def gc(filling: Filling, **limits: object) -> Outcome:
    return Box(filling.paths.root, by="test").gc(**limits)  # type: ignore[arg-type]


def release(filling: Filling, made: Registered, bento: str) -> int:
    return filling.state.releases.add(
        "delay", bento, "delay", made.version, None, "sha256:e", "test", made.run, None, {}
    ).number


def test_it_frees_what_it_says_and_everything_kept_can_be_read(filling: Filling, loads: Loader) -> None:
    shared = [f"of {number} ".encode() * 9_000 for number in range(4)]
    runs = [filling.run(60 - number, shared=shared[number % 4]) for number in range(40)]
    made = filling.registered(runs[2])
    release(filling, made, filling.bento("c1", 50))
    old = filling.bento("c0", 55)
    promoted = filling.registered(runs[5], alias="champion")
    resumed = filling.run(1, resume=runs[7].id)
    failed = filling.run(2, RunState.FAILED)
    for number in range(4):
        filling.run(0.5, shared=shared[number])
    filling.state.disposal.pin(f"run/{runs[9].id}", "test")
    gc(filling)  # leaves the databases' journals empty
    before = on_disk([filling.paths.state])
    allowed = before * 2 // 3
    seen = gc(filling, max_size=str(allowed), keep=4, dry_run=True)
    assert on_disk([filling.paths.state]) == pytest.approx(before, rel=0.001)
    done = gc(filling, max_size=str(allowed), keep=4)
    after = on_disk([filling.paths.state])
    assert done.left == ()
    assert after <= allowed
    assert before - after == pytest.approx(seen.plan.bytes, rel=0.03)
    assert done.freed == pytest.approx(done.plan.bytes, rel=0.03)
    assert gc(filling, max_size=str(allowed), keep=4).plan.chosen == ()
    gone = filling.state.disposal.runs()
    assert failed.id in gone  # though it is the newest: of a failure nothing came
    assert not gone & {runs[2].id, runs[5].id, runs[9].id, resumed.id}
    assert runs[7].id not in gone or resumed.id in gone
    assert runs[0].id in gone and runs[39].id not in gone
    assert not (filling.paths.bentoml / "bentos" / old.replace(":", "/")).exists()
    kept = [run for run in filling.state.runs.all(1000) if run.id not in gone]
    loads(filling.paths, [str(run.pathspec) for run in kept])
    tracked = tracking_store.read(filling.paths.mlflow)
    there = {run.id: run for run in tracked.runs}
    for run in kept:
        folder = there[str(run.tracking_run_id)].folder
        assert folder and (folder / "artifacts" / "card.html").exists()
        assert filling.paths.run_log(run.id).exists()
    assert {one.version for one in tracked.versions} == {made.version, promoted.version}
    for model in tracked.models:
        assert model.folder and (model.folder / "artifacts" / "model.onnx").exists()
    for run in filling.state.runs.all(1000):
        if run.id in gone:
            assert run.tracking_run_id not in there
            assert not filling.paths.run_dir(run.id).exists()


def test_without_limits_only_what_is_of_no_value_goes(filling: Filling) -> None:
    for number in range(6):
        filling.run(600 - number)
    before = paths_of([filling.paths.metaflow, filling.paths.runs, filling.paths.mlflow / "artifacts"])
    assert gc(filling, keep=0).plan.chosen == ()
    assert paths_of([filling.paths.metaflow, filling.paths.runs, filling.paths.mlflow / "artifacts"]) >= before


def test_what_is_given_up_while_its_resume_is_checked_is_not_resumed(filling: Filling) -> None:
    origin = filling.run(90)
    filling.state.disposal.mark([Freed(f"run/{origin.id}", "run", 1, 0.0, "gc")])
    with pytest.raises(BoxError, match="cannot resume") as raised:
        filling.state.runs.add("flows/makes.py", "MakesFlow", {}, {"resume": origin.id})
    assert "freed" in raised.value.why
    assert filling.state.runs.active() == []


def test_an_origin_stays_as_long_as_one_that_was_resumed_from_it(filling: Filling) -> None:
    origin = filling.run(90, RunState.FAILED)
    filling.run(1, resume=origin.id)
    assert origin.id not in _chosen(gc(filling, older_than="30d", keep=1, dry_run=True))
    assert origin.id not in _chosen(gc(filling, older_than="30d", keep=0, dry_run=True))
    # Both may go: then they go together.
    assert len(_chosen(gc(filling, max_size="1k", keep=0, dry_run=True))) == 2


def test_what_was_pinned_or_is_needed_since_the_plan_stays(filling: Filling) -> None:
    runs = [filling.run(60 - number) for number in range(4)]
    plan = gc(filling, older_than="30d", keep=0, dry_run=True).plan
    assert _chosen(Outcome(plan)) == {run.id for run in runs}
    filling.state.disposal.pin(f"run/{runs[0].id}", "test")
    filling.state.runs.add("flows/makes.py", "MakesFlow", {}, {"resume": runs[1].id, "causes": [runs[3].id]})
    marked = freeing.mark(filling.state, filling.paths, plan.chosen, "test")
    assert [one.subject for one in marked if one.kind == "run"] == [f"run/{runs[2].id}"]
    assert _chosen(gc(filling, older_than="30d", keep=0, dry_run=True)) == set()


def test_models_without_alias_go_only_when_asked_and_their_run_is_still_explained(filling: Filling) -> None:
    old, released = filling.run(90), filling.run(80)
    filling.registered(old)
    made = filling.registered(released)
    release(filling, made, filling.bento("c1", 50))
    assert _chosen(gc(filling, older_than="30d", keep=0, dry_run=True)) == set()
    gc(filling, older_than="30d", keep=0, models=True)
    tracked = tracking_store.read(filling.paths.mlflow)
    assert [(one.version, one.run) for one in tracked.versions] == [(made.version, made.run)]
    assert {run.id for run in tracked.runs} == {made.run}
    box = Box(filling.paths.root, by="test")
    with pytest.raises(BoxError, match="cannot be kept"):
        box.pin(str(old.id))
    with pytest.raises(BoxError) as refused:
        start(filling.state, filling.paths, box.settings, "flows/makes.py", {}, {"resume": old.id}, "test")
    assert "freed" in refused.value.why
    answer = box.why(str(old.id))
    code = next(node for node in answer.subject.below if node.kind == "code")
    assert code.facts["digest"] == "c0de"
    assert any("freed" in note for note in answer.subject.notes)


def test_artifacts_of_a_flow_that_runs_are_left_alone(filling: Filling, loads: Loader) -> None:
    old, young = filling.run(60), filling.run(1)
    with flowlock.writing(filling.paths, "MakesFlow"):
        done = gc(filling, older_than="30d", keep=1)
    assert any("MakesFlow" in one for one in done.left)
    named = {blob for run in FlowStore(filling.paths.metaflow).runs("MakesFlow") for blob in run.blobs}
    there = set(FlowStore(filling.paths.metaflow).blobs("MakesFlow"))
    assert there > named
    assert old.id in filling.state.disposal.runs()
    gc(filling, keep=1)
    assert set(FlowStore(filling.paths.metaflow).blobs("MakesFlow")) == named
    loads(filling.paths, [str(young.pathspec)])


def test_a_folder_name_is_no_way_out_of_the_store(tmp_path: Path) -> None:
    assert tracking_store._folder("mlflow-artifacts:/../../etc", tmp_path) is None
    assert tracking_store._folder("s3://bucket/x", tmp_path) is None
    assert tracking_store._folder("mlflow-artifacts:/", tmp_path) is None


def _chosen(found: Outcome) -> set[int]:
    return {int(item.data["run"]) for item in found.plan.chosen if item.kind == "run"}


def test_the_command_deletes_nothing_unless_it_is_told_to(
    filling: Filling, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        filling.run(90 - number)
    monkeypatch.chdir(filling.paths.root)

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            box_command.main(["gc", *words], "box")
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    before = paths_of([filling.paths.metaflow, filling.paths.runs])
    code, out, err = run("--older-than", "30d", "--keep", "0")
    assert (code, "--yes" in err, "run folders" in out) == (0, True, True)
    code, out, _ = run("--older-than", "30d", "--keep", "0", "--dry-run", "--json")
    assert len(json.loads(out)["plan"]["things"]) == 4
    assert run("--max-size", "lots")[0] == 2
    assert run("--older-than", "30")[0] == 2
    assert paths_of([filling.paths.metaflow, filling.paths.runs]) == before
    # All that must stay is more than this: done, but it is told.
    code, _, err = run("--max-size", "1k", "--keep", "3", "--yes")
    assert (code, "must stay" in err) == (4, True)
