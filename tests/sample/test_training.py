"""From features to a champion and a scored batch, as a user runs it."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb
import numpy as np
import pytest
from flights import dataset
from flights.package import Packaged
from flights.paths import quoted
from flights.preparation import model_input

from tests.sample.conftest import Sample, Trained

pytestmark = pytest.mark.integration


def test_the_gates_pass_and_the_model_is_champion(trained: Trained) -> None:
    assert "delay version 1: champion" in trained.output and "FAIL" not in trained.output
    auc, brier, ece = map(float, re.findall(r"(?:AUC|Brier|ECE) (0\.\d+)", trained.output)[:3])
    assert auc >= 0.770 and brier <= 0.137 and ece <= 0.02


def test_a_newcomer_loads_the_champion(trained: Trained, champion: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow alone gives the same answers as the flows do, and says what the model was made of."""
    import mlflow
    from mlflow import MlflowClient

    monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.sample.tracking_url)
    table = trained.sample.data / "training" / "training.parquet"
    rows, packaged = dataset.load(table, "month = 12 and day = 24"), Packaged.load(champion)
    newcomer = mlflow.pyfunc.load_model("models:/delay@champion")
    answers = newcomer.predict(model_input(rows, packaged.specification["levels"]))
    np.testing.assert_allclose(answers, packaged.predict(rows), atol=1e-6)
    version = MlflowClient().get_model_version_by_alias("delay", "champion")
    assert version.tags["feature_service"] == "delay_v1" and version.tags["gate"] == "passed"
    assert packaged.specification["metrics"]["auc"] >= 0.770
    losses = MlflowClient().get_metric_history(version.run_id, "epoch_log_loss")
    assert [point.step for point in losses] == list(range(1, len(losses) + 1)) and losses[-1].value < losses[0].value


def test_reuse_keeps_a_champion_made_of_the_same(trained: Trained) -> None:
    assert "delay version 1 is champion and made of the same" in trained.sample.must("train", "--reuse", "true")


def test_a_day_is_scored(trained: Trained) -> None:
    assert "964 flights" in trained.sample.must("score", "--day", "2013-12-30")
    path = quoted(trained.sample.data / "predictions" / "2013-12-30.parquet")
    found = duckdb.sql(
        f"select count(*), min(probability) > 0, max(probability) < 1, min(model_version), "
        f"bool_and(late = (probability >= 1 / 3)) from read_parquet({path})"
    ).fetchall()
    assert found == [(964, True, True, 1, True)]


def test_train_and_score_run_plainly_without_tracking(featured: Sample, tmp_path: Path) -> None:
    """The main job needs no server: nothing is registered, the run says so and succeeds, on any table of its rows."""
    some, table = tmp_path / "some.parquet", quoted(featured.data / "training" / "training.parquet")
    duckdb.sql(f"copy (select * from {table} where id % 10 = 0) to {quoted(some)}")
    output = featured.must("train", "--epochs", "1", "--table", str(some), tracking=False)
    assert "MLFLOW_TRACKING_URI is not set" in output and "test AUC 0." in output
    assert "scoring with the latest model" in featured.must("score", tracking=False)


def test_a_wrong_choice_fails_with_its_name(featured: Sample) -> None:
    done = featured.flow("train", "--protocol", "cheat", tracking=False)
    assert done.returncode != 0
    assert "--protocol cheat: must be early-stop or refit" in done.stdout + done.stderr
