"""Sweeps in a real box, with MLflow's own client as the oracle of what is the best trial."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from boxplat.core.model import RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.links import tracking_url
from boxplat.runs.sweeps.outcomes import recorded
from boxplat.supervisor.lock import holder
from tests.conftest import run_box
from tests.runs.conftest import until

pytestmark = pytest.mark.integration
FLOW = Path(__file__).parent / "flows" / "score.py"
# Seconds for a command that waits for runs.
LONG = 600.0


class Home:
    """A project whose box is up."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.paths = Paths(root)
        (root / "flows").mkdir(parents=True)
        (root / "boxplat.toml").write_text('[project]\nname = "swept"\n[tracking]\nport = 5640\n')
        shutil.copy(FLOW, root / "flows")
        self.up()
        assert run_box(root, "wait", "--all", "--timeout", "400", timeout=LONG).returncode == 0
        self.state = StateStore.open(self.paths)

    def up(self) -> None:
        done = run_box(self.root, "up", "--detach", timeout=LONG)
        assert done.returncode == 0, done.stderr

    def sweep(self, *args: str, code: int = 0) -> dict[str, Any]:
        """`box run` of the flow with these options, to its end."""
        done = run_box(self.root, "run", "flows/score.py", *args, "--metric", "auc", "--wait", "--json", timeout=LONG)
        assert done.returncode == code, done.stderr
        return dict(json.loads(done.stdout))

    def succeeded(self, sweep: int) -> dict[int, int]:
        """How many runs of each trial have succeeded."""
        found: dict[int, int] = {}
        for run in self.state.runs.all(1000):
            if run.options.get("sweep") == sweep:
                number = int(run.options["trial"])
                found[number] = found.get(number, 0) + (run.state is RunState.SUCCEEDED)
        return found

    def drivers(self, sweep: int) -> list[psutil.Process]:
        marked = []
        for process in psutil.process_iter(["cmdline", "pid"]):
            words = process.info["cmdline"] or []
            if words[-2:] == ["boxplat.runs.sweeps.driver", str(sweep)] and _cwd(process) == str(self.root):
                marked.append(process)
        return marked


def _cwd(process: psutil.Process) -> str:
    try:
        return str(process.cwd())
    except psutil.Error:
        return ""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    root = tmp_path_factory.mktemp("sweeps") / "project"
    try:
        yield Home(root)
    finally:
        run_box(root, "down")


@pytest.fixture(scope="module")
def mlflow(home: Home) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_url(home.state))


def children(mlflow: Any, parent: str, order: str) -> list[Any]:
    experiment = mlflow.get_experiment_by_name("ScoreFlow").experiment_id
    return list(mlflow.search_runs([experiment], f"tags.`mlflow.parentRunId` = '{parent}'", order_by=[order]))


def test_the_best_trial_of_a_grid_is_the_argmax_of_mlflows_own_search(home: Home, mlflow: Any) -> None:
    found = home.sweep("--param", "lr=0.1,0.3", "--param", "width=64,8")
    parent = found["sweep"]["tracking_run_id"]
    runs = children(mlflow, parent, "metrics.auc DESC")
    assert len(runs) == 4
    assert int(runs[0].data.tags["boxplat.trial"]) == found["best"] == 2
    assert [row["value"] for row in found["trials"]] == [run.data.metrics["auc"] for run in runs]
    assert {run.data.params["lr"] for run in runs} == {"0.1", "0.3"}
    # Its driver writes the end into the state first, and tells MLflow then.
    until(lambda: mlflow.get_run(parent).info.status == "FINISHED", "MLflow knows of the end")
    top = mlflow.get_run(parent)
    assert top.data.metrics == {"best.auc": runs[0].data.metrics["auc"]}
    assert (top.data.tags["best.lr"], top.data.tags["boxplat.best_run"]) == ("0.3", runs[0].info.run_id)
    # What a trial is judged by when MLflow stays away is what MLflow would have said.
    for row in found["trials"]:
        assert recorded(home.paths, row["run"])["auc"] == row["value"]
    shown = run_box(home.root, "sweep", str(found["sweep"]["id"])).stdout
    assert "*  2 " in shown


def test_a_search_through_kill_9_of_driver_and_supervisor_runs_every_trial_once(home: Home, mlflow: Any) -> None:
    args = ("--search", "lr=log:1e-4..1e0", "--trials", "6", "--parallel", "2", "--metric", "auc", "--mode", "min")
    number = int(run_box(home.root, "run", "flows/score.py", *args).stdout)
    for wanted in (1, 3):
        until(lambda least=wanted: sum(home.succeeded(number).values()) >= least, "trials have succeeded")
        until(lambda: home.drivers(number), "a driver")[0].kill()
    supervisor = holder(home.paths)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: holder(home.paths) is None, "the supervisor is gone")
    home.up()
    done = run_box(home.root, "sweep", "wait", str(number), "--json", "--timeout", "400", timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert home.succeeded(number) == dict.fromkeys(range(6), 1)
    found = json.loads(done.stdout)
    runs = children(mlflow, found["sweep"]["tracking_run_id"], "metrics.auc ASC")
    assert int(next(run for run in runs if run.info.status == "FINISHED").data.tags["boxplat.trial"]) == found["best"]


def test_a_failed_trial_fails_the_sweep_and_resume_runs_it_alone(home: Home, tmp_path: Path) -> None:
    stone = tmp_path / "stone"
    stone.touch()
    sweep = home.sweep("--param", "width=1,2", "--param", f"fail={stone}", code=1)["sweep"]
    number = sweep["id"]
    assert "asked to fail" in sweep["error"]
    stone.unlink()
    done = run_box(home.root, "sweep", "resume", str(number), "--wait", "--json", timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert home.succeeded(number) == {0: 1, 1: 1}
    assert len([run for run in home.state.runs.all(1000) if run.options.get("sweep") == number]) == 3


def test_cancel_ends_every_run_and_mlflow_hears_of_it(home: Home, mlflow: Any, tmp_path: Path) -> None:
    args = ("--param", "width=1,2,3", "--param", f"hold={tmp_path / 'never'}", "--metric", "auc")
    number = int(run_box(home.root, "run", "flows/score.py", *args).stdout)
    until(lambda: any(trial.state == "running" for trial in home.state.sweeps.trials(number)), "a trial runs")
    assert run_box(home.root, "sweep", "cancel", str(number)).returncode == 0
    done = run_box(home.root, "sweep", "wait", str(number), "--timeout", "400", timeout=LONG)
    assert (done.returncode, "cancelled" in done.stderr) == (1, True)
    sweep = home.state.sweeps.get(number)
    assert sweep.tracking_run_id is not None
    until(lambda: mlflow.get_run(sweep.tracking_run_id).info.status == "KILLED", "MLflow knows")
    assert {run.state for run in home.state.runs.all(3)} == {RunState.CANCELLED}


def test_several_that_need_the_parent_at_once_make_one(home: Home, mlflow: Any) -> None:
    from boxplat.adapters.tracking_api import TrackingApi
    from boxplat.core.sweeps import Plan
    from boxplat.runs.sweeps import parent

    url = tracking_url(home.state)
    assert url is not None
    sweep = home.state.sweeps.add("flows/score.py", "Many", Plan(grid={"lr": ("1", "2")}), [], "test")
    home.state.sweeps.request_cancel(sweep.id, "test")
    barrier, found = threading.Barrier(5), []

    def ask() -> None:
        api = TrackingApi(url)
        barrier.wait(90)
        found.append(parent.of(api, StateStore.open(home.paths), home.paths, sweep))

    threads = [threading.Thread(target=ask) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    experiment = mlflow.get_experiment_by_name("Many").experiment_id
    assert [run.info.run_id for run in mlflow.search_runs([experiment])] == list(set(found))


def test_a_run_with_one_value_is_no_sweep(home: Home) -> None:
    began = time.time()
    done = run_box(home.root, "run", "flows/score.py", "--param", r"fail=a\,b", "--wait", "--json", timeout=LONG)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["run"]["params"] == {"fail": "a,b"}
    assert all(sweep.created < began for sweep in home.state.sweeps.all())
