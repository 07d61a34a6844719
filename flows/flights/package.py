"""The model as it is registered: exported programs and JSON, no pickle and no class of ours needed to load it.

MLmodel, data/   the whole network as an MLflow `pytorch` model: rows [N, 52] to probabilities [N]
encoder/, head/  its two halves, likewise: rows to dense vectors [N, D], and those to logits [N]
delay.json       feature order, vocabularies, medians, threshold, metrics, feature service
calibration.npz  flights of the test months, `rows` [N, 52] and `labels` [N], which `box models calibrate` checks with
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from flights.dataset import Rows
from flights.fit import Fitted, predict
from flights.preparation import model_input
from flights.training_set import CATEGORICAL, LEAD, NUMERIC
from flights.views import COUNTS, SERVED, SERVICE

SPECIFICATION = "delay.json"
CALIBRATION = "calibration.npz"
CALIBRATION_ROWS = 4_000
FORMAT = 1


def specification(fitted: Fitted, threshold: float) -> dict[str, Any]:
    """What a server must know to turn feature values into model inputs and probabilities into decisions."""
    preparation = fitted.preparation
    return {
        "format": FORMAT,
        "feature_service": SERVICE,
        "lead_minutes": LEAD,
        "numeric": list(NUMERIC),
        "categorical": list(CATEGORICAL),
        "levels": preparation.levels,
        "zero_when_missing": list(COUNTS),
        "ages": {"weather_age": "weather_known_at"},
        "views": {view.name: {"ttl_minutes": view.ttl, "columns": list(view.columns)} for view in SERVED},
        "baseline": [float(value) for value in preparation.baseline()[0]],
        "flagged": preparation.flagged,
        "embedding_widths": [embedding.embedding_dim for embedding in fitted.net.encoder.embeddings],
        "threshold": threshold,
    }


def add_to_specification(folder: Path, **entries: Any) -> None:
    """Add entries to the `delay.json` of a model folder, metrics say."""
    path = folder / SPECIFICATION
    path.write_text(json.dumps(json.loads(path.read_text()) | entries, indent=1))


def save(folder: Path, fitted: Fitted, example: np.ndarray[Any, Any], details: dict[str, Any]) -> None:
    """Write the model folder. `example`: a few model inputs [n > 1, 52]; `details`: content of `delay.json`."""
    net = fitted.net
    with torch.no_grad():
        dense = net.encoder(torch.from_numpy(example)).numpy()
    _save(net, folder, example)
    _save(net.encoder, folder / "encoder", example)
    _save(net.head, folder / "head", dense)
    (folder / SPECIFICATION).write_text(json.dumps(details, indent=1))


def save_calibration(folder: Path, held_out: Rows, levels: dict[str, list[str]]) -> None:
    """Put evenly spaced rows that the model was not trained on, and their labels, beside the model."""
    some = held_out.take(np.linspace(0, len(held_out) - 1, min(CALIBRATION_ROWS, len(held_out))).astype(np.int64))
    np.savez_compressed(folder / CALIBRATION, rows=model_input(some, levels), labels=some.y)


def _save(module: nn.Module, folder: Path, example: np.ndarray[Any, Any]) -> None:
    """One MLflow `pytorch` model in its exported (`pt2`) form, any number of rows."""
    import mlflow.pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    with torch.no_grad():
        output = module(torch.from_numpy(example)).numpy()
    inputs, outputs = (Schema([TensorSpec(np.dtype("float32"), (-1, *x.shape[1:]))]) for x in (example, output))
    mlflow.pytorch.save_model(
        module,
        str(folder),
        serialization_format="pt2",
        input_example=example,
        signature=ModelSignature(inputs, outputs),
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", "mlflow", "numpy"],
    )


@dataclass(frozen=True)
class Packaged:
    """A registered model read back: the exported network and its specification."""

    net: nn.Module
    specification: dict[str, Any]

    @classmethod
    def load(cls, folder: Path) -> Packaged:
        """From a model folder; MLflow refuses an archive that holds a pickle."""
        import mlflow.pytorch

        return cls(mlflow.pytorch.load_model(str(folder)), json.loads((folder / SPECIFICATION).read_text()))

    def predict(self, rows: Rows) -> np.ndarray[Any, Any]:
        """Probabilities [N] of arriving 15 or more minutes late or not at all."""
        if self.specification["numeric"] != list(NUMERIC):
            raise ValueError("this model was made for other features: train it again with flows/train.py")
        return predict(self.net, model_input(rows, self.specification["levels"]))


def to_bytes(folder: Path) -> dict[str, bytes]:
    """The files of a model folder by relative path, so that a flow can hand them to its next step."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def from_bytes(files: dict[str, bytes], folder: Path) -> Path:
    """Write files made by `to_bytes` below `folder`, which is returned."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
