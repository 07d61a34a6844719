"""Servers that are away, servers that come back, killed launchers: in the end each run is one MLflow run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from boxplat.core import processes
from boxplat.core.model import Run, RunState
from boxplat.runs import resend
from tests.runs.conftest import PATIENCE, Gate, Project, until
from tests.runs.test_ends import of_run, waiting

pytestmark = pytest.mark.integration


def identity_of(box: Project, run: Run) -> str:
    return f"tags.`boxplat.identity` = '{box.state.meta.get('box.id')}/{run.id}'"


def tracked_runs(box: Project, run: Run, client: Any) -> list[Any]:
    experiment = client.get_experiment_by_name(run.name)
    return list(client.search_runs([experiment.experiment_id], identity_of(box, run))) if experiment else []


def send(box: Project) -> list[int]:
    return resend.send_missed(box.state, box.paths, box.config, box.url)


def test_a_run_without_a_server_is_sent_later_and_once(box: Project, gate: Gate, client: Any) -> None:
    run = box.run("flows/tiny.py", {"count": "4"}, url=gate.url)
    assert run.state is RunState.SUCCEEDED
    assert run.tracking_run_id is None
    assert resend.pending(box.paths) == [run.id]
    # Refused connections cost no waiting (it would be 60 s here): the run is over as soon as its flow is.
    assert (run.ended or 0) - max(task.ended or 0 for task in box.state.runs.tasks(run.id)) < 40
    # Two senders at once, as when a supervisor is restarted: the lock lets one work.
    both = [
        subprocess.Popen([sys.executable, "-m", "boxplat.runs.resend"], cwd=box.paths.root, env=box.env) for _ in "12"
    ]
    assert [process.wait(PATIENCE) for process in both] == [0, 0]
    assert resend.pending(box.paths) == []
    (tracked,) = tracked_runs(box, run, client)
    assert tracked.data.params == {"count": "4"}
    assert tracked.data.metrics["thrice"] == 12.0
    assert tracked.info.status == "FINISHED"
    assert abs(tracked.info.start_time / 1000 - (run.started or 0)) < 0.01
    assert box.state.runs.get(run.id).tracking_run_id == tracked.info.run_id
    tags = box.metaflow("print(json.dumps(sorted(Run(sys.argv[1]).tags)))", str(run.pathspec))
    assert f"mlflow_run_id:{tracked.info.run_id}" in tags
    assert send(box) == []


def test_a_server_that_comes_back_before_the_end_gets_everything(box: Project, gate: Gate, client: Any) -> None:
    release = box.paths.root / "release-late"
    queued = box.queue("flows/slow.py", {"gate": str(release)})
    launcher = box.launch(queued, gate.url)
    until(lambda: "waiting for the gate" in box.log(queued), "the step waits")
    assert box.state.runs.get(queued.id).tracking_run_id is None
    gate.open()
    until(lambda: box.state.runs.get(queued.id).tracking_run_id, "the launcher finds the server")
    release.touch()
    assert launcher.wait(PATIENCE) == 0
    (tracked,) = tracked_runs(box, queued, client)
    assert tracked.info.status == "FINISHED"
    assert tracked.data.metrics["begun"] == 1.0
    assert tracked.data.tags["artifact.seen_tracking_run"] == tracked.info.run_id
    assert resend.pending(box.paths) == []


def test_a_killed_launcher_takes_its_flow_along_and_its_run_is_completed_once(box: Project, client: Any) -> None:
    queued = box.queue("flows/slow.py", {"gate": "never"})
    launcher = box.launch(queued)
    run = waiting(box, queued)
    (scheduler,) = [pid for pid in of_run(box, run) if processes.parent(pid) == launcher.pid]
    launcher.kill()
    launcher.wait(60)
    until(lambda: scheduler not in of_run(box, run), "the scheduler ends with its launcher")
    processes.signal_group(launcher.pid, signal.SIGKILL)  # what the supervisor does when it misses the launcher
    until(lambda: of_run(box, run) == [], "nothing of the run is left")
    assert send(box) == []  # not over yet as far as the state knows
    box.state.runs.update(
        run.id, event="run.failed", state="failed", ended=time.time(), error="the launcher was killed"
    )
    assert send(box) == [run.id]
    (tracked,) = tracked_runs(box, run, client)
    assert tracked.info.run_id == run.tracking_run_id
    assert tracked.info.status == "FAILED"
    assert tracked.data.tags["boxplat.error"] == "the launcher was killed"
    assert [task.state for task in box.state.runs.tasks(run.id)] == [RunState.SUCCEEDED, RunState.FAILED]


def test_sending_again_from_the_start_changes_nothing(box: Project, client: Any) -> None:
    """What a sender that was killed after its last request, but before removing the mark, leaves behind."""
    run = box.run("flows/tiny.py", {"count": "6"})
    before = client.get_run(run.tracking_run_id)
    history = client.get_metric_history(run.tracking_run_id, "thrice")
    (box.paths.run_dir(run.id) / "unsent").touch()
    assert send(box) == [run.id]
    (after,) = tracked_runs(box, run, client)
    assert after.data.metrics == before.data.metrics
    assert after.data.tags == before.data.tags
    assert after.info.end_time == before.info.end_time
    assert client.get_metric_history(run.tracking_run_id, "thrice") == history
