"""The registered model: probabilities on the back end that calibration chose, and attributions between its halves."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from boxplat.serving import backends

Array = np.ndarray[Any, Any]

DEFAULT_URI = "models:/delay@champion"
POINTS = 32


@dataclass(frozen=True)
class DelayModel:
    """`probabilities`: rows [N, 52] to [N]; `spec`: `delay.json`. For reasons, which need gradients, the halves of the
    same network in eager torch: `encoder`, rows to dense vectors [N, D], and `head`, those to logits [N]."""

    probabilities: backends.Model
    encoder: torch.nn.Module
    head: torch.nn.Module
    spec: dict[str, Any]

    @property
    def version(self) -> str:
        """Number in the registry, or "unregistered"."""
        return self.probabilities.version

    def matrix(self, values: dict[str, list[Any]], keys: dict[str, list[str]], as_of: list[int]) -> Array:
        """Model input [N, 52] from feature values by name, category values by name and moments in minutes UTC."""
        columns = [self._numeric(name, values, as_of) for name in self.spec["numeric"]]
        for name in self.spec["categorical"]:
            codes = {level: code for code, level in enumerate(self.spec["levels"][name], start=1)}
            columns.append(np.asarray([codes.get(value, 0) for value in keys[name]], dtype=np.float32))
        return np.column_stack(columns)

    def _numeric(self, name: str, values: dict[str, list[Any]], as_of: list[int]) -> Array:
        if name in self.spec["ages"]:
            known = np.asarray(values[self.spec["ages"][name]], dtype=np.float64)
            return (np.asarray(as_of, dtype=np.float64) - known).astype(np.float32)
        column = np.asarray(values[name], dtype=np.float64).astype(np.float32)
        return np.nan_to_num(column) if name in self.spec["zero_when_missing"] else column

    def attributions(self, rows: Array) -> tuple[float, Tensor, Tensor]:
        """Logit of the training median, logits of the rows [N], and what each input adds to the former [N, 52].

        Integrated gradients (Sundararajan et al., 2017) over the dense vector, from the median's to the row's, by
        Gauss-Legendre quadrature; the parts of one input (value, missing flag, embedding) are summed.
        """
        with torch.no_grad():
            dense = self.encoder(torch.from_numpy(rows))
            logits = self.head(dense)
            median = self.encoder(torch.tensor([self.spec["baseline"]]))
            start = float(self.head(median)[0])
        nodes, weights = np.polynomial.legendre.leggauss(POINTS)
        gradients = torch.zeros_like(dense)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            point = (median + float(node) * (dense - median)).requires_grad_()
            gradients += float(weight) * torch.autograd.grad(self.head(point).sum(), point)[0]
        return start, logits, self._by_input(gradients * (dense - median))

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
    with backends.opened(uri or os.environ.get("BOXPLAT_MODEL_URI") or DEFAULT_URI) as source:
        halves = [backends.program(source.folder / part) for part in ("encoder", "head")]
        spec = json.loads((source.folder / "delay.json").read_text())
        return DelayModel(backends.load(source), *halves, spec)
