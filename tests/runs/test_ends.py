"""How a run can end: failed and resumed, killed, cancelled, refused by Metaflow; and two at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from boxplat.core import processes
from boxplat.core.model import Run, RunState
from boxplat.runs import cancel
from tests.runs.conftest import PATIENCE, Project, until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def failed(box: Project) -> Run:
    return box.run("flows/resumable.py")


@pytest.fixture(scope="module")
def resumed(failed: Run, box: Project) -> Run:
    (box.paths.root / "gate").touch()
    return box.run("flows/resumable.py", resume=failed.id, max_workers=2)


def waiting(box: Project, run: Run) -> Run:
    """The slow flow in its waiting step, its tracking run known."""
    until(lambda: box.paths.run_log(run.id).exists() and "waiting for the gate" in box.log(run), "the step waits")
    return until(lambda: (now := box.state.runs.get(run.id)).tracking_run_id and now, "the tracking run is known")


def of_run(box: Project, run: Run) -> list[int]:
    spool = f"BOXPLAT_SPOOL={box.paths.run_dir(run.id) / 'spool.jsonl'}".encode()
    found = []
    for pid in processes.marked(box.paths.state):
        try:
            environ = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if spool in environ.split(b"\0"):
            found.append(pid)
    return found


def test_a_failing_step_explains_itself(failed: Run, box: Project, client: Any) -> None:
    assert (failed.state, failed.exit_code) == (RunState.FAILED, 1)
    lines = (failed.error or "").splitlines()
    assert lines[0] == "step fragile (task 4) failed: FileNotFoundError: no gate yet"
    assert "resumable.py" in (failed.error or "")
    assert len(lines) <= 15
    tracked = client.get_run(failed.tracking_run_id)
    assert tracked.info.status == "FAILED"
    assert tracked.data.tags["boxplat.error"] == failed.error
    assert {"failure.txt", "failures"} <= {item.path for item in client.list_artifacts(failed.tracking_run_id)}
    states = {task.step: task.state for task in box.state.runs.tasks(failed.id)}
    assert states == {
        "start": RunState.SUCCEEDED,
        "train": RunState.SUCCEEDED,
        "join": RunState.SUCCEEDED,
        "fragile": RunState.FAILED,
    }


def test_nodes_of_a_parallel_step_are_tasks_and_nested_runs(failed: Run, box: Project, client: Any) -> None:
    nodes = [task for task in box.state.runs.tasks(failed.id) if task.step == "train"]
    assert sorted(task.task for task in nodes) == ["2", "2_node_1"]
    where = f"tags.`mlflow.parentRunId` = '{failed.tracking_run_id}'"
    children = client.search_runs([client.get_run(failed.tracking_run_id).info.experiment_id], where)
    assert sorted(child.data.metrics["node"] for child in children) == [0.0, 1.0]


def test_resuming_takes_over_what_was_done(failed: Run, resumed: Run, box: Project, client: Any) -> None:
    assert resumed.state is RunState.SUCCEEDED, box.log(resumed)
    assert "Cloning" in box.log(resumed)
    tracked = client.get_run(resumed.tracking_run_id)
    assert resumed.tracking_run_id != failed.tracking_run_id
    assert tracked.data.tags["boxplat.resumed_run"] == str(failed.id)
    assert tracked.data.tags["metaflow.origin_pathspec"] == failed.pathspec
    assert tracked.data.params == {"gate": "gate"}
    assert tracked.data.metrics["result"] == 6.0


def test_every_task_of_a_resumed_run_has_a_row(failed: Run, resumed: Run, box: Project) -> None:
    metaflows = "print(json.dumps([[step.id, task.id] for step in Run(sys.argv[1]) for task in step]))"
    known = {(step, task) for step, task in box.metaflow(metaflows, str(resumed.pathspec))}
    rows = box.state.runs.tasks(resumed.id)
    assert {(row.step, row.task) for row in rows} == known
    assert sorted(row.step for row in rows) == ["end", "fragile", "join", "start", "train", "train"]
    assert {row.state for row in rows} == {RunState.SUCCEEDED}
    taken_over = [row for row in rows if row.step not in ("fragile", "end")]
    assert max(row.started for row in taken_over) < min(row.started for row in rows if row not in taken_over)


def test_a_task_that_dies_without_a_word(box: Project, client: Any) -> None:
    run = box.run("flows/slow.py", {"gate": "never", "how": "die"})
    assert run.state is RunState.FAILED
    assert "Task failed." in (run.error or "")
    assert [task.state for task in box.state.runs.tasks(run.id)] == [RunState.SUCCEEDED, RunState.FAILED]
    assert client.get_run(run.tracking_run_id).info.status == "FAILED"


def test_a_task_that_ends_after_its_scheduler(box: Project) -> None:
    (box.paths.root / "open").touch()
    queued = box.queue("flows/slow.py", {"gate": "open", "how": "outlive"})
    # Its end is not a matter of five seconds here.
    assert box.launch(queued, before="from boxplat.runs import ending; ending.KILL_AFTER = 60.0").wait(PATIENCE) == 0
    run = box.state.runs.get(queued.id)
    assert (run.state, run.exit_code) == (RunState.FAILED, -signal.SIGKILL)
    assert [task.state for task in box.state.runs.tasks(run.id)] == [RunState.SUCCEEDED, RunState.SUCCEEDED]


def test_a_value_that_metaflow_refuses(box: Project, client: Any) -> None:
    run = box.run("flows/tiny.py", {"count": "many"})
    assert run.state is RunState.FAILED
    assert "many is not a valid integer" in (run.error or "")
    assert run.pathspec is None
    assert client.get_run(run.tracking_run_id).info.status == "FAILED"


def test_cancelling_ends_every_process_of_the_run(box: Project, client: Any) -> None:
    queued = box.queue("flows/slow.py", {"gate": "never", "how": "spawn"})
    launcher = box.launch(queued)
    run = waiting(box, queued)
    assert len(of_run(box, run)) >= 3
    cancel(box.state, run.id, "test")
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(PATIENCE) == 0
    assert of_run(box, run) == []
    done = box.state.runs.get(run.id)
    assert done.state is RunState.CANCELLED
    assert [task.state for task in box.state.runs.tasks(run.id)] == [RunState.SUCCEEDED, RunState.CANCELLED]
    assert client.get_run(run.tracking_run_id).info.status == "KILLED"


def test_a_run_cancelled_in_the_queue_never_starts(box: Project) -> None:
    run = box.queue("flows/tiny.py")
    cancel(box.state, run.id, "test")
    assert box.launch(run).wait(PATIENCE) == 0
    assert box.state.runs.get(run.id).state is RunState.CANCELLED
    assert box.log(run) == ""


def test_two_runs_at_once_keep_apart(box: Project, client: Any) -> None:
    runs = [box.queue("flows/tiny.py", {"count": str(count)}, max_workers=1) for count in (5, 7)]
    launchers = [box.launch(run) for run in runs]
    assert [launcher.wait(PATIENCE) for launcher in launchers] == [0, 0]
    done = [box.state.runs.get(run.id) for run in runs]
    assert {run.state for run in done} == {RunState.SUCCEEDED}
    found = [client.get_run(run.tracking_run_id).data for run in done]
    assert [(data.params["count"], data.metrics["twice"], data.metrics["thrice"]) for data in found] == [
        ("5", 10.0, 15.0),
        ("7", 14.0, 21.0),
    ]
    assert done[0].pathspec != done[1].pathspec


def test_a_step_may_use_mlflow_itself(box: Project, client: Any) -> None:
    run = box.run("flows/tracker.py")
    assert run.state is RunState.SUCCEEDED, box.log(run)
    tracked = client.get_run(run.tracking_run_id)
    assert (tracked.data.metrics["by_hand"], tracked.data.metrics["after"]) == (4.5, 1.0)
    assert tracked.info.status == "FINISHED"
    assert tracked.data.tags["artifact.loads_feast"] == "false"


def test_a_plain_metaflow_run_needs_nothing_of_ours(box: Project) -> None:
    done = subprocess.run(
        [sys.executable, "flows/tiny.py", "run"],
        cwd=box.paths.root,
        env=box.env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "boxplat" not in done.stdout
    assert "BOXPLAT_SPOOL" not in os.environ
