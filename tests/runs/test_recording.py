"""One run of a flow with most of Metaflow's features, and what MLflow, Metaflow and the state then hold of it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import pytest

from boxplat.core.model import Run, RunState
from boxplat.runs.spool import Tail
from tests.runs.conftest import Project

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def run(box: Project) -> Run:
    return box.run("flows/everything.py", {"learning-rate": "0.25", "settings": '{"depth": 5}'})


@pytest.fixture(scope="module")
def tracked(run: Run, client: Any, box: Project) -> Any:
    assert run.state is RunState.SUCCEEDED, box.log(run)
    return client.get_run(run.tracking_run_id)


@pytest.fixture(scope="module")
def children(tracked: Any, client: Any) -> Mapping[str, Any]:
    found = client.search_runs([tracked.info.experiment_id], f"tags.`mlflow.parentRunId` = '{tracked.info.run_id}'")
    return {child.info.run_name: child for child in found}


def test_the_run_is_in_the_experiment_of_its_flow(tracked: Any, client: Any, run: Run) -> None:
    assert client.get_experiment(tracked.info.experiment_id).name == "EverythingFlow"
    assert tracked.info.status == "FINISHED"
    assert abs(tracked.info.start_time / 1000 - (run.started or 0)) < 0.01
    assert abs(tracked.info.end_time / 1000 - (run.ended or 0)) < 0.01


def test_parameters_include_defaults_configs_and_files(tracked: Any) -> None:
    params = dict(tracked.data.params)
    assert params.pop("notes").endswith("(19 bytes)")
    assert params == {"learning-rate": "0.25", "label": "plain", "settings": "{'depth': 5}"}


def test_scalar_artifacts_become_metrics_and_tags(tracked: Any) -> None:
    metrics = tracked.data.metrics
    expected = {"depth": 5.0, "grand_total": 90.0, "scores.auc": 0.77, "scores.brier": 0.125, "attempts": 2.0}
    assert {name: metrics[name] for name in expected} == expected
    assert metrics["duration_seconds"] > metrics["step.late.seconds"] > 0.9
    assert "product" not in metrics
    assert tracked.data.tags["artifact.done"] == "true"


def test_the_later_value_of_an_artifact_wins(tracked: Any, client: Any) -> None:
    assert tracked.data.metrics["loss"] == 0.25
    assert [point.value for point in client.get_metric_history(tracked.info.run_id, "loss")] == [0.9, 0.25]


def test_an_artifact_that_no_recorder_can_read_harms_nothing(tracked: Any, run: Run, box: Project) -> None:
    assert tracked.data.tags["artifact.done"] == "true"
    assert "not to be counted" in box.log(run)


def test_evidence_is_on_the_run(tracked: Any, run: Run) -> None:
    tags = tracked.data.tags
    assert tags["metaflow.pathspec"] == run.pathspec
    assert tags["data_digest.raw"] == "sha256:0123"
    assert tags["feature_service"] == "delays_v1"
    assert len(tags["boxplat.code_digest"]) == 64
    assert tags["version.metaflow"] == "2.19.39"
    assert tags["boxplat.retries"] == "1"
    assert tags["boxplat.caught"].split(",") == ["caught/14", "late/15"]


def test_tasks_of_a_nested_foreach_are_nested_runs(children: Mapping[str, Any]) -> None:
    products = {name: child.data.metrics["product"] for name, child in children.items() if "work" in name}
    assert products == {"work[0.0]": 10.0, "work[0.1]": 20.0, "work[1.0]": 20.0, "work[1.1]": 40.0}
    assert children["gather[1]"].data.tags["boxplat.value"] == "20"
    assert children["gather[1]"].info.status == "FINISHED"
    assert len(children) == 6


def test_cards_and_tracebacks_are_artifacts(tracked: Any, client: Any, tmp_path: Any) -> None:
    cards = [item.path for item in client.list_artifacts(tracked.info.run_id, "cards")]
    assert len(cards) == 1
    page = client.download_artifacts(tracked.info.run_id, cards[0], str(tmp_path))
    assert "<html" in open(page).read(4096)
    failures = [item.path for item in client.list_artifacts(tracked.info.run_id, "failures")]
    assert [os.path.basename(path) for path in failures] == [
        "caught-14-attempt-0.txt",
        "late-15-attempt-0.txt",
        "shaky-13-attempt-0.txt",
    ]
    text = open(client.download_artifacts(tracked.info.run_id, failures[2], str(tmp_path))).read()
    assert "the first attempt always fails" in text


def test_tasks_see_their_tracking_run_and_load_nothing_heavy(tracked: Any) -> None:
    assert tracked.data.tags["artifact.seen_tracking_run"] == tracked.info.run_id
    assert tracked.data.tags["artifact.seen_experiment"] == "EverythingFlow"
    assert tracked.data.tags["artifact.heavy"] == "false"


def test_the_metaflow_run_points_back(run: Run, box: Project) -> None:
    tags = box.metaflow("print(json.dumps(sorted(Run(sys.argv[1]).tags)))", str(run.pathspec))
    assert f"mlflow_run_id:{run.tracking_run_id}" in tags


def test_task_rows(run: Run, box: Project) -> None:
    tasks = box.state.runs.tasks(run.id)
    assert len(tasks) == 17
    assert {task.state for task in tasks} == {RunState.SUCCEEDED}
    by_step = {task.step: task for task in tasks}
    assert (by_step["shaky"].attempt, by_step["shaky"].error) == (1, None)
    assert by_step["caught"].error == "KeyError: 'caught on purpose'"
    assert sorted(str(task.index) for task in tasks if task.step == "work") == ["0", "0", "1", "1"]
    kinds = [event.kind for event in box.state.events.all(subject=f"run/{run.id}")]
    assert kinds == ["run.queued", "run.started", "run.succeeded"]


def test_nothing_is_left_unsent_and_all_is_private(run: Run, box: Project) -> None:
    folder = box.paths.run_dir(run.id)
    assert sorted(path.name for path in folder.iterdir()) == ["run.log", "spool.jsonl", "tracking_run_id"]
    assert (folder / "spool.jsonl").stat().st_mode & 0o777 == 0o600
    assert (folder / "tracking_run_id").stat().st_mode & 0o777 == 0o600


def test_the_log_can_be_filtered_by_step(run: Run, box: Project) -> None:
    lines = [line for line in box.log(run).splitlines() if "/gather/" in line]
    assert len(lines) == 4


def test_the_spool_is_json_with_one_end_for_each_attempt(run: Run, box: Project) -> None:
    records = Tail(box.paths.run_dir(run.id) / "spool.jsonl").read()
    assert json.dumps(records)
    assert sum(record["kind"] == "end" for record in records) == 18
