"""MLflow: register a model folder under an alias, and fetch it again."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from flights.training_set import LEAD

MODEL = "delay"
CHAMPION, CHALLENGER = "champion", "challenger"
BUILD = "flights.audited:training_rows"
NO_TRACKING = "MLFLOW_TRACKING_URI is not set: nothing was registered (`box run` sets it)"


def tracking() -> bool:
    """Whether there is a tracking server to register with."""
    return bool(os.environ.get("MLFLOW_TRACKING_URI"))


def until(sched: np.ndarray[Any, Any]) -> str:
    """The first moment (ISO) after every decision about departures at `sched` (minutes UTC)."""
    return datetime.fromtimestamp((int(sched.max()) - LEAD + 1) * 60, UTC).isoformat()


def register(
    folder: Path, metrics: Mapping[str, float], losses: Sequence[float], tags: Mapping[str, str], good: bool
) -> tuple[int, str]:
    """Register a model folder as the next version of `delay`; its number, and the alias that it got.

    Args:
        losses: log-loss after each epoch; a curve on the run.
        good: it passed its checks.

    A good one becomes champion where there is none, else challenger: whether it is better is for the gates to say.
    The model belongs to the run that boxplat made for this flow (`BOXPLAT_TRACKING_RUN_ID`), else to a new one.
    """
    import mlflow
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient()
    given = os.environ.get("BOXPLAT_TRACKING_RUN_ID")
    if given:
        run = client.get_run(given)
    else:
        experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", MODEL))
        run = client.create_run(experiment.experiment_id)
    model = mlflow.initialize_logged_model(
        name=MODEL, source_run_id=run.info.run_id, experiment_id=run.info.experiment_id, tags=dict(tags)
    )
    client.log_model_artifacts(model.model_id, str(folder))
    mlflow.finalize_logged_model(model.model_id, "READY")
    for name, value in metrics.items():
        client.log_metric(run.info.run_id, name, value, model_id=model.model_id)
    now = round(time.time() * 1000)
    curve = [Metric("epoch_log_loss", loss, now, epoch) for epoch, loss in enumerate(losses, 1)]
    client.log_batch(run.info.run_id, metrics=curve)
    version = mlflow.register_model(f"models:/{model.model_id}", MODEL, tags=dict(tags)).version
    alias = (CHALLENGER if champion_tags() else CHAMPION) if good else ""
    if alias:
        client.set_registered_model_alias(MODEL, alias, str(version))
    if not given:
        client.set_terminated(run.info.run_id)
    return int(version), alias


def champion_tags() -> dict[str, str]:
    """Tags of the champion version with its number as `version`; empty when there is none."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        version = MlflowClient().get_model_version_by_alias(MODEL, CHAMPION)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return {}
        raise
    return {**version.tags, "version": str(version.version)}


def download(uri: str, folder: Path) -> Path:
    """Fetch a model's files, `models:/delay@champion` say, into `folder`."""
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))
