"""The registered model: two exported programs and their specification, and attributions between them."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DEFAULT_URI = "models:/delay@champion"
POINTS = 32


@dataclass(frozen=True)
class DelayModel:
    """`encoder`: rows [N, 52] to dense vectors [N, D]; `head`: those to logits [N]; `spec`: `delay.json`."""

    encoder: torch.nn.Module
    head: torch.nn.Module
    spec: dict[str, Any]
    version: str

    def matrix(self, values: dict[str, list[Any]], keys: dict[str, list[str]], as_of: list[int]) -> Tensor:
        """Model input [N, 52] from feature values by name, category values by name and moments in minutes UTC."""
        columns = [self._numeric(name, values, as_of) for name in self.spec["numeric"]]
        for name in self.spec["categorical"]:
            codes = {level: code for code, level in enumerate(self.spec["levels"][name], start=1)}
            columns.append(np.asarray([codes.get(value, 0) for value in keys[name]], dtype=np.float32))
        return torch.from_numpy(np.column_stack(columns))

    def _numeric(self, name: str, values: dict[str, list[Any]], as_of: list[int]) -> np.ndarray[Any, Any]:
        if name in self.spec["ages"]:
            known = np.asarray(values[self.spec["ages"][name]], dtype=np.float64)
            return (np.asarray(as_of, dtype=np.float64) - known).astype(np.float32)
        column = np.asarray(values[name], dtype=np.float64).astype(np.float32)
        return np.nan_to_num(column) if name in self.spec["zero_when_missing"] else column

    def logits(self, rows: Tensor) -> Tensor:
        """Logits [N] of rows [N, 52]."""
        with torch.no_grad():
            logits: Tensor = self.head(self.encoder(rows))
        return logits

    def attributions(self, rows: Tensor) -> tuple[float, Tensor]:
        """Logit of the training median, and what each of the 52 inputs adds to it [N, 52].

        Integrated gradients (Sundararajan et al., 2017) over the dense vector, from the median's to the row's, by
        Gauss-Legendre quadrature; the parts of one input (value, missing flag, embedding) are summed.
        """
        with torch.no_grad():
            dense = self.encoder(rows)
            median = self.encoder(torch.tensor([self.spec["baseline"]]))
            start = float(self.head(median)[0])
        nodes, weights = np.polynomial.legendre.leggauss(POINTS)
        gradients = torch.zeros_like(dense)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = (median + float(node) * (dense - median)).requires_grad_()
            gradients += float(weight) * torch.autograd.grad(self.head(point).sum(), point)[0]
        return start, self._by_input(gradients * (dense - median))

    def _by_input(self, parts: Tensor) -> Tensor:
        """Sum the columns of the dense vector [N, D] that belong to the same input: [N, 52]."""
        numerics = len(self.spec["numeric"])
        owners = [*range(numerics), *self.spec["flagged"]]
        for i, width in enumerate(self.spec["embedding_widths"]):
            owners += [numerics + i] * width
        total = torch.zeros(len(parts), numerics + len(self.spec["embedding_widths"]))
        return total.index_add(1, torch.tensor(owners), parts)


def load(uri: str | None = None) -> DelayModel:
    """Load a model folder or an MLflow URI (`BOXPLAT_MODEL_URI`, by default the champion), without any pickle."""
    uri = uri or os.environ.get("BOXPLAT_MODEL_URI") or DEFAULT_URI
    if Path(uri).is_dir():
        return _load(Path(uri))
    import mlflow

    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    with tempfile.TemporaryDirectory() as folder:
        return _load(Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)))


def _load(folder: Path) -> DelayModel:
    import mlflow.pytorch
    import yaml

    meta = folder / "registered_model_meta"
    version = str(yaml.safe_load(meta.read_text())["model_version"]) if meta.exists() else "unregistered"
    programs = [mlflow.pytorch.load_model(str(folder / part)) for part in ("encoder", "head")]
    return DelayModel(*programs, json.loads((folder / "delay.json").read_text()), version)
