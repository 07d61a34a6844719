"""`box models calibrate` from a registered model to a service that runs on what was chosen."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from boxplat import Box
from boxplat.adapters.tracking_api import TrackingApi
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import ModelVersion
from boxplat.releases import calibration as releases
from boxplat.releases.models import tracking_url
from boxplat.serving import backends
from boxplat.serving.backends import loading, measure, selection, table, trial
from boxplat.serving.backends.choice import EVIDENCE, TAG, Choice
from boxplat.serving.backends.selection import Limits, Measured, Plan
from boxplat.serving.backends.trial import Trial
from tests.conftest import run_box
from tests.serving.backends import models
from tests.serving.conftest import worker

BENTO = Path(__file__).with_name("bento")
STANDARD = ("eager", "onnxruntime", "onnxruntime-int8", "compile")


def write_table(folder: Path, labels: bool = True) -> np.ndarray:
    """Rows for `models.Wide`, with labels drawn from its own probabilities."""
    rng = np.random.default_rng(11)
    rows = rng.normal(size=(400, 6)).astype(np.float32)
    rows[:, 0] = 20_000 * rng.random(400)
    with torch.inference_mode():
        drawn = rng.random(400) < models.Wide()(torch.from_numpy(rows)).numpy()
    table.save(folder / table.NAME, {"rows": rows} | ({"labels": drawn.astype(np.float32)} if labels else {}))
    return rows


def register(url: str, name: str, folder: Path) -> None:
    """The files of a folder as version 1 of a model."""
    api = TrackingApi(url)
    run = api.create(api.experiment("Default"), name, 0.0, {})["info"]
    for path in folder.rglob("*"):
        if path.is_file():
            api.upload(run["artifact_uri"], f"model/{path.relative_to(folder).as_posix()}", path.read_bytes())
    for verb, body in (
        ("registered-models/create", {"name": name}),
        ("model-versions/create", {"name": name, "source": f"{run['artifact_uri']}/model", "run_id": run["run_id"]}),
        ("registered-models/alias", {"name": name, "alias": "champion", "version": "1"}),
    ):
        data = json.dumps(body).encode()
        request = urllib.request.Request(f"{url}/api/2.0/mlflow/{verb}", data, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=60).close()


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose answers 8 bits ruin, with its calibration table."""
    folder = models.exported(models.Wide(), tmp_path_factory.mktemp("wide"))
    write_table(folder)
    return folder


@pytest.fixture(scope="module")
def tracked(live_box: Path, wide: Path) -> str:
    """The tracking server of a running box with version 1 of the model `wide`."""
    url = tracking_url(Box(live_box).state)
    register(url, "wide", wide)
    return url


@pytest.fixture(scope="module")
def found(live_box: Path, tracked: str) -> dict[str, Any]:
    """What the command says."""
    done = run_box(live_box, "models", "calibrate", "wide", "--batches", "1,4", "--json", timeout=1800)
    assert done.returncode == 0, done.stderr
    assert "· measuring, turn 1 of 5" in done.stderr and "Traceback" not in done.stderr
    said = json.loads(done.stdout)
    assert said["schema_version"] == 1
    return said["calibration"]


def row(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in found["results"] if row["backend"] == name)


@pytest.mark.integration
def test_every_back_end_is_measured_and_one_is_chosen(found: dict[str, Any]) -> None:
    assert {row["backend"] for row in found["results"]} >= set(STANDARD)
    verdicts = [row["verdict"] for row in found["results"]]
    assert verdicts.count("chosen") == 1
    for one in found["results"]:
        if one["verdict"] != "failed":
            assert set(one["microseconds"]) == {"1", "4"} and min(one["microseconds"].values()) > 0
            assert one["memory_mib"] > 10 and one["first_seconds"] > 0
    assert row(found, "eager")["difference"] == 0 and row(found, "eager")["ratio"] == 1
    assert row(found, "onnxruntime")["verdict"] in ("chosen", "accepted")


@pytest.mark.integration
def test_the_back_end_that_changes_answers_is_refused_with_its_figures(found: dict[str, Any]) -> None:
    refused = row(found, "onnxruntime-int8")
    assert refused["verdict"] == "refused" and refused["difference"] > 0.05
    assert "answers differ by" in refused["reason"]
    assert refused["quality"]["auc"] < row(found, "eager")["quality"]["auc"] - 0.1


@pytest.mark.integration
def test_the_choice_and_its_evidence_are_on_the_version(found: dict[str, Any], tracked: str) -> None:
    tags = {tag["key"]: tag["value"] for tag in TrackingApi(tracked).version("wide", "1")["tags"]}
    evidence = Choice.parse(tags[EVIDENCE])
    assert evidence is not None and tags[TAG] == evidence.backend == found["choice"]["backend"]
    assert evidence.batches == (1, 4) and evidence.machine["cpu"] and "torch" in evidence.versions and evidence.at
    assert [one["backend"] for one in evidence.results] == [one["backend"] for one in found["results"]]


@pytest.mark.integration
def test_the_event_is_recorded(found: dict[str, Any], live_box: Path) -> None:
    done = [event.data for event in Box(live_box).events() if event.kind == "models.calibrated"]
    assert (done[-1]["model"], done[-1]["version"], done[-1]["backend"]) == ("wide", 1, found["choice"]["backend"])


@pytest.mark.integration
def test_a_service_runs_on_what_was_chosen(found: dict[str, Any], tracked: str, wide: Path, tmp_path: Path) -> None:
    rows = write_table(tmp_path)[:3]
    with worker(BENTO, "service:Chosen", tmp_path / "scratch", MLFLOW_TRACKING_URI=tracked) as (url, _):
        body = json.dumps({"rows": rows.tolist()}).encode()
        request = urllib.request.Request(f"{url}/predict", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
    assert (answer["backend"], answer["reason"]) == (found["choice"]["backend"], "")
    np.testing.assert_allclose(answer["answers"], backends.load(wide, backend="eager")(rows), atol=1e-4)


@pytest.mark.integration
def test_a_dry_run_records_nothing(live_box: Path, tracked: str, tmp_path: Path, quick: None) -> None:
    folder = models.exported(models.Gated(), tmp_path)
    rows = models.rows_of(np.random.default_rng(2).normal(size=(40, 5)), np.arange(40) % 4)
    register(tracked, "dry", folder)
    data = tmp_path / "rows.npz"
    table.save(data, {"rows": rows})
    from boxplat.releases.calibration import Wanted

    # What 8 bits do to the answers depends on the processor; here only the labels are to be missing.
    wanted = Wanted("dry", batches=(2,), data=data, reduced_tolerance=1.0, dry_run=True)
    done = Box(live_box).models.calibrate(wanted)
    assert not done.recorded and done.choice.backend in ("eager", "onnxruntime")
    reduced = next(row for row in done.results if row.backend == "onnxruntime-int8")
    assert reduced.verdict == "refused" and "no labels" in reduced.reason
    assert not TrackingApi(tracked).version("dry", "1").get("tags")


@pytest.mark.integration
def test_what_is_missing_has_its_exit_code(live_box: Path, tracked: str, tmp_path: Path) -> None:
    register(tracked, "rowless", models.exported(models.Gated(), tmp_path))
    for words, code, said in (
        (("nothing",), ExitCode.NOT_FOUND, "no model 'nothing'"),
        (("wide", "--version", "7"), ExitCode.NOT_FOUND, "version 7"),
        (("wide", "--alias", "champoin"), ExitCode.NOT_FOUND, "champion"),
        (("rowless",), ExitCode.PRECONDITION, "--data"),
        (("wide", "--batches", "0"), ExitCode.USAGE, "at least one row"),
    ):
        done = run_box(live_box, "models", "calibrate", *words)
        assert done.returncode == code and said in done.stderr, done.stderr


def test_without_tracking_it_says_what_to_start(box_command: Callable[..., Any]) -> None:
    done = box_command("models", "calibrate", "wide")
    assert done.returncode == ExitCode.NO_BOX and "box up" in done.stderr


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch.compile, and with the shortest of measurements."""
    monkeypatch.setattr(selection, "CPU", STANDARD[:3])
    monkeypatch.setattr(selection, "REPEATS", 1)
    monkeypatch.setattr(selection, "TURN_SECONDS", 0.01)


def measured(folder: Path, **plan: Any) -> dict[str, Measured]:
    rows = selection.calibrate(
        folder, table.find(folder, None), Plan(batches=(1, 8), **plan), os.environ, lambda line: None
    )
    return {row.backend: row for row in rows}


def test_a_tolerance_decides(gated: Path, quick: None) -> None:
    rows = models.rows_of(np.random.default_rng(2).normal(size=(80, 5)), np.arange(80) % 4)
    table.save(gated / table.NAME, {"rows": rows, "labels": (rows[:, 0] > 0).astype(np.float32)})
    strict = measured(gated, limits=Limits(tolerance=1e-12, reduced=1e-12))
    assert strict["eager"].verdict == "chosen", "the reference is never refused"
    assert {strict[name].verdict for name in ("onnxruntime", "onnxruntime-int8")} == {"refused"}
    assert strict["onnxruntime"].quality["auc"] == strict["eager"].quality["auc"]


def test_a_model_that_cannot_be_exported_keeps_its_other_back_ends(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CPU", ("eager", "onnxruntime"))
    folder = models.exported(models.Unexportable(), tmp_path)
    table.save(folder / table.NAME, {"rows": np.eye(6, dtype=np.float32)})
    found = measured(folder)
    assert found["eager"].verdict == "chosen"
    assert found["onnxruntime"].verdict == "failed" and "no ONNX file" in found["onnxruntime"].reason


def test_where_nothing_runs_nothing_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "CPU", ("eager",))
    folder = models.exported(models.Gated(), tmp_path)
    table.save(folder / table.NAME, {"rows": np.zeros((4, 9), np.float32)})
    found = measured(folder)
    assert {row.verdict for row in found.values()} == {"failed"}
    assert "has shape" in found["eager"].reason and selection.chosen(tuple(found.values())) is None


def test_a_back_end_whose_process_dies_is_the_only_one_that_fails(
    gated: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "CPU", STANDARD[:2])
    rows = models.rows_of(np.random.default_rng(2).normal(size=(8, 5)), np.arange(8) % 4)
    table.save(gated / table.NAME, {"rows": rows})
    seconds = Trial.seconds

    def kill_first(one: Trial, size: int, wanted: float) -> float:
        if one.name == "onnxruntime":
            one._process.kill()
        return seconds(one, size, wanted)

    monkeypatch.setattr(Trial, "seconds", kill_first)
    found = measured(gated)
    assert found["eager"].verdict == "chosen" and found["onnxruntime"].verdict == "failed"


@pytest.mark.parametrize(
    ("ratios", "winner"),
    [
        ({"eager": 1.0}, "eager"),
        ({"eager": 1.0, "onnxruntime": 0.95}, "eager"),
        ({"eager": 1.0, "onnxruntime": 0.5, "compile": 0.4}, "compile"),
        ({"eager": 1.0, "onnxruntime": 0.5, "onnxruntime-int8": 0.48}, "onnxruntime"),
        ({"eager": 1.0, "onnxruntime": 0.5, "onnxruntime-int8": 0.2}, "onnxruntime-int8"),
        ({"eager": 1.0, "onnxruntime": 2.0, "onnxruntime-int8": 0.2}, "onnxruntime-int8"),
    ],
)
def test_each_step_away_from_the_model_must_pay(ratios: dict[str, float], winner: str) -> None:
    assert selection._winner("eager", ratios) == winner


def test_data_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    bad = tmp_path / "rows.npz"
    np.savez(bad, rows=np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(BoxError) as caught:
        table.find(tmp_path, bad)
    assert caught.value.code is ExitCode.USAGE and "pickle" in caught.value.why


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"text"])
def test_damaged_rows_are_a_usage_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.npz").write_bytes(content)
    with pytest.raises(BoxError) as caught:
        table.find(tmp_path, tmp_path / "rows.npz")
    assert caught.value.code is ExitCode.USAGE


def test_labels_are_one_for_each_row(tmp_path: Path) -> None:
    rows, labels = np.ones((3, 2), np.float32), np.array([[0.0], [1.0], [0.0]])
    table.save(tmp_path / table.NAME, {"rows": rows, "labels": labels})
    found = table.find(tmp_path, None).labels
    assert found is not None and found.tolist() == [0, 1, 0]
    table.save(tmp_path / table.NAME, {"rows": rows, "labels": np.hstack([labels, labels])})
    with pytest.raises(BoxError) as caught:
        table.find(tmp_path, None)
    assert caught.value.code is ExitCode.USAGE


@pytest.mark.parametrize("count", [3, 100, 400])
def test_answers_are_checked_in_batches_of_the_sizes_that_they_name(count: int) -> None:
    seen: set[int] = set()

    def model(rows: np.ndarray) -> np.ndarray:
        seen.add(len(rows))
        return rows[:, 0]

    rows = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    found = dict(measure._answers(model, [rows], [1, 128, 256]))  # type: ignore[arg-type]
    assert {1, 128, 256} <= seen
    assert len(found["256.0"]) == max(count, 256), "all rows in the largest"
    for answers in found.values():
        np.testing.assert_array_equal(answers[:3], rows[:3, 0])


def test_few_rows_keep_their_labels(gated: Path, tmp_path: Path, quick: None) -> None:
    folder = Path(shutil.copytree(gated, tmp_path / "model"))
    rows = models.rows_of(np.random.default_rng(2).normal(size=(5, 5)), np.arange(5) % 4)
    table.save(folder / table.NAME, {"rows": rows, "labels": np.array([[0], [1], [0], [1], [1]])})
    found = measured(folder)
    assert found["onnxruntime"].verdict in ("chosen", "accepted") and found["onnxruntime"].quality
    recorded = loading.probe(backends.Source(folder))
    assert recorded is not None and [len(array) for side in recorded for array in side] == [5, 5]


def test_an_unknown_metric_is_found_before_anything_is_measured(gated: Path) -> None:
    heard: list[str] = []
    rows = table.Table((np.ones((2, 6), np.float32),), None, "here")
    with pytest.raises(BoxError, match="no metric 'f1'"):
        selection.calibrate(gated, rows, Plan(metric="f1"), os.environ, heard.append)
    assert not heard


def test_an_interrupt_leaves_no_process(gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    def interrupted(one: Trial) -> None:
        started.append(one._process)
        raise KeyboardInterrupt

    monkeypatch.setattr(Trial, "_reply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Trial(gated, "eager", 1, tmp_path / "rows.npz", (1,), tmp_path / "log", os.environ)
    assert started[0].returncode is not None


def test_a_conversion_that_takes_too_long_costs_its_back_ends(
    gated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial, "_CONVERSION", 0.01)
    # What is killed as it writes is not what other tests read.
    folder = Path(shutil.copytree(gated, tmp_path / "model"))
    missing = trial.convert(folder, tmp_path / "log", os.environ)
    assert missing.keys() == {"onnxruntime", "onnxruntime-int8"} and "took longer" in missing["onnxruntime"]


def test_a_choice_that_cannot_be_recorded_is_told(tmp_path: Path) -> None:
    (tmp_path / "backends").mkdir()
    version = ModelVersion("wide", 1, (), None, 0.0)
    with pytest.raises(BoxError, match="is not recorded") as caught:
        releases._record("http://127.0.0.1:1", version, Choice("eager", {}), tmp_path)
    assert caught.value.code is ExitCode.NO_BOX


def test_parquet_gives_the_same_rows(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {"b": [1.0, None], "labels": [0, 1], "a": [3.0, 4.0]}
    pq.write_table(pa.table(columns), tmp_path / "rows.parquet")
    found = table.find(tmp_path, tmp_path / "rows.parquet")
    np.testing.assert_array_equal(found.inputs[0], np.array([[1, 3], [np.nan, 4]], np.float32))
    np.testing.assert_array_equal(found.labels, [0, 1])


@pytest.mark.integration
def test_files_lie_where_their_digests_say(found: dict[str, Any], tracked: str, tmp_path: Path) -> None:
    api = TrackingApi(tracked)
    for path, digest in found["choice"]["files"].items():
        api.download(api.location("wide", "1"), path, tmp_path / "file")
        assert hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest() == digest
