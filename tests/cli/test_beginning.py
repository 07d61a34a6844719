"""How far a new box has come, read from what is really there."""

from __future__ import annotations

from pathlib import Path

from boxplat import Box
from boxplat.core.model import RunState

FLOW = "from metaflow import FlowSpec\n"


def states(box: Box) -> list[tuple[str, str]]:
    return [(" ".join(step.words[:2]), step.state) for step in box.beginning()]


def flow(root: Path, *names: str) -> None:
    (root / "flows").mkdir(exist_ok=True)
    for name in names:
        (root / "flows" / name).write_text(FLOW)


def finish(box: Box, name: str, state: RunState = RunState.SUCCEEDED) -> int:
    run = box.state.runs.add(f"flows/{name}", name, "", {})
    box.state.runs.update(run.id, state=state)
    return run.id


def test_the_samples_flows_come_in_the_order_of_the_tutorial(project: Path) -> None:
    flow(project, "compare.py", "features.py", "ingest.py", "train.py")
    (project / "boxplat.toml").write_text('[endpoints.delay]\nbento = "bentos/delay"\nmodel = "delay"\n')
    box = Box(project)
    assert states(box) == [
        ("", "done"),
        ("up --detach", "next"),
        ("run flows/ingest.py", "later"),
        ("run flows/features.py", "later"),
        ("run flows/train.py", "later"),
        ("deploy delay", "later"),
        ("predict delay", "later"),
    ]
    # A later flow that succeeded shows that the earlier ones are done, however that was.
    finish(box, "features.py")
    assert [state for _, state in states(box)] == ["done", "next", "done", "done", "later", "later", "later"]
    finish(box, "train.py", RunState.FAILED)
    assert ("run flows/train.py", "later") in states(box)


def test_the_example_that_a_flow_left_is_offered_and_a_prediction_ends_it(project: Path) -> None:
    (project / "boxplat.toml").write_text('[endpoints.delay]\nbento = "bentos/delay"\n')
    box = Box(project)
    box.paths.create()
    (box.paths.data / "example_request.json").write_text("{}")
    assert box.beginning()[-1].words == ("predict", "delay", "@.box/data/example_request.json")
    log = box.paths.state / "predictions" / "delay"
    log.mkdir(parents=True)
    (log / "1.spool").write_bytes(b"")
    assert box.beginning()
    (log / "1.spool").write_bytes(b"frame")
    assert box.beginning() == ()


def test_other_projects_begin_with_any_flow_and_old_ones_not_at_all(project: Path) -> None:
    flow(project, "b.py", "a.py")
    (project / "flows" / "shared.py").write_text("ONE = 1\n")
    box = Box(project)
    assert states(box) == [("", "done"), ("up --detach", "next"), ("run flows/a.py", "later")]
    for _ in range(200):
        finish(box, "b.py")
    assert box.beginning() == ()
