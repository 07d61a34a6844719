"""What a run measured, from MLflow's database or its own records, and runs side by side."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from boxplat.adapters import tracking_metrics
from boxplat.adapters.tracking_api import TrackingApi
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState, Task
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.metrics_table import metrics as told
from boxplat.metrics_table import side_by_side
from boxplat.runs.measured import metrics
from boxplat.runs.outbox import spool_path
from boxplat.runs.sidebyside import MOST, compare
from tests.runs.conftest import Server

COMMON = {"at": 100.0, "run": "17", "attempt": 0}


def spooled(paths: Paths, run: Run, *records: dict[str, Any]) -> None:
    folder = paths.run_dir(run.id)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({**COMMON, **record}) for record in records]
    spool_path(folder).write_text("".join(f"{line}\n" for line in lines))


def start(step: str, task: str, params: dict[str, str] | None = None, inside: bool = False) -> dict[str, Any]:
    stack = [{"step": step, "var": "x", "index": 0, "value": "1"}] if inside else []
    return {"kind": "start", "step": step, "task": task, "flow": "F", "stack": stack, "params": params}


def end(step: str, task: str, **artifacts: object) -> dict[str, Any]:
    return {"kind": "end", "step": step, "task": task, "ok": True, "artifacts": artifacts}


@pytest.fixture
def paths(project: Path, state: StateStore) -> Paths:
    return Paths(project)


def test_a_run_that_mlflow_does_not_have_yet_is_read_from_its_own_records(state: StateStore, paths: Paths) -> None:
    run = state.runs.add("flows/f.py", "F", {})
    assert metrics(paths, run) == ()
    reports = [{"kind": "report", "metric": "auc", "index": step, "value": step / 10} for step in (2, 0, 1)]
    own, inner = [start("fit", "1"), end("fit", "1", auc=0.9)], [start("go", "2", inside=True), end("go", "2", auc=0.1)]
    spooled(paths, run, *reports, *own, *inner)
    found = {one.name: one for one in metrics(paths, run)}
    assert [point.value for point in found["intermediate/auc"].points] == [0.0, 0.1, 0.2]
    assert found["auc"].last.value == 0.9 and found["auc"].count == 1, "the numbers of foreach tasks are no metric"


def test_a_long_history_is_thinned_and_keeps_its_ends(state: StateStore, paths: Paths) -> None:
    run = state.runs.add("flows/f.py", "F", {})
    reports = ({"kind": "report", "metric": "loss", "index": step, "value": 1.0 / (step + 1)} for step in range(5_000))
    spooled(paths, run, *reports)
    [series] = metrics(paths, run)
    assert len(series.points) <= tracking_metrics.MOST_POINTS + 1 and series.count == 5_000
    assert series.points[0].step == 0 and series.last.step == 4_999 and series.high == 1.0


@pytest.mark.integration
def test_mlflows_histories_are_read_as_its_own_client_reads_them(server: Server, client: Any) -> None:
    api = TrackingApi(server.url)
    experiment = api.experiment("curves")
    run = str(api.create(experiment, "curves", 1000.0, {})["info"]["run_id"])
    child = str(api.create(experiment, "inner", 1000.0, {"mlflow.parentRunId": run})["info"]["run_id"])
    values = [("loss", 1.0 / (step + 1), 1000.0 + step, step) for step in range(950)]
    api.log(run, metrics=[*values, ("odd", math.nan, 1001.0, 0), ("odd", 3.0, 1002.0, 1)])
    api.log(child, metrics=[("auc", 0.7, 1001.0, 0)])
    found = {(one.source, one.name): one for one in tracking_metrics.series(server.database.parent, run)}
    assert set(found) == {("", "loss"), ("", "odd"), ("inner", "auc")}
    oracle = {entry.step: entry.value for entry in client.get_metric_history(run, "loss")}
    loss = found["", "loss"]
    assert all(oracle[point.step] == point.value for point in loss.points)
    assert (loss.count, loss.low, loss.high) == (950, min(oracle.values()), 1.0)
    assert loss.points[0].step == 0 and loss.last.step == 949 and len(loss.points) <= tracking_metrics.MOST_POINTS
    odd = found["", "odd"]
    assert math.isnan(odd.points[0].value) and (odd.low, odd.high) == (3.0, 3.0)


def test_a_damaged_database_says_what_to_do(state: StateStore, paths: Paths) -> None:
    (paths.mlflow / "mlflow.db").write_bytes(b"nonsense" * 4096)
    with pytest.raises(BoxError) as caught:
        tracking_metrics.series(paths.mlflow, "1")
    assert caught.value.code is ExitCode.PRECONDITION and "box doctor" in caught.value.fix


def test_runs_side_by_side_tell_what_differs(state: StateStore, paths: Paths) -> None:
    code = {"kind": "tags", "tags": {"boxplat.code_digest": "3f05" * 10, "version.torch": "2.1"}}
    runs = []
    for epochs, auc, seconds in (("4", 0.75, 10.0), ("12", 0.78, 20.0)):
        run = state.runs.add("flows/f.py", "F", {"epochs": epochs})
        given = start("fit", "1", {"epochs": epochs, "seed": "0"})
        spooled(paths, run, code, given, end("fit", "1", auc=auc))
        state.runs.upsert_task(Task(run.id, "fit", "1", 0, RunState.SUCCEEDED, 100.0, 100.0 + seconds))
        runs.append(run.id)
    found = compare(state, paths, runs)
    facts = {(fact.group, fact.name): fact for fact in found.facts}
    assert facts["parameter", "epochs"].values == ("4", "12") and facts["parameter", "epochs"].differs
    assert not facts["parameter", "seed"].differs, "what was not given has its default in both"
    assert facts["metric", "auc"].values == (0.75, 0.78)
    assert not facts["code", "digest"].differs and facts["code", "version.torch"].values == ("2.1", "2.1")
    assert facts["step", "fit"].values == (10.0, 20.0) and not facts["step", "fit"].differs, "times always differ"
    lines = side_by_side(found).splitlines()
    assert any(line.startswith("*") and "epochs" in line and "12" in line for line in lines)
    assert not any(line.startswith("*") and "seed" in line for line in lines)


@pytest.mark.parametrize("numbers", [[], [1], [1, 1], list(range(1, MOST + 2))])
def test_too_few_or_too_many_runs_are_refused(state: StateStore, paths: Paths, numbers: list[int]) -> None:
    with pytest.raises(BoxError) as caught:
        compare(state, paths, numbers)
    assert caught.value.code is ExitCode.USAGE


def test_no_metrics_say_how_to_get_some() -> None:
    assert "self.auc" in told((), 7)
