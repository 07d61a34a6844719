"""The network: numerics to normal scores, categories to embeddings, then a small MLP.

Split in two so that attributions can be taken between them: `Encoder` (rows to a dense vector) and `Head` (dense vector
to logit). Only operations that export are used: comparisons are counted instead of `searchsorted`, and the inverse
normal is a rational approximation.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EMBEDDING = {"carrier": 6, "origin": 2, "dest": 12}
HIDDEN = (128, 64)
DROPOUT = 0.2
EDGE = 0.001

# P. J. Acklam's rational approximation of the inverse normal (2003), relative error below 1.15e-9 in double precision.
_CENTRE = (
    (
        -39.69683028665376,
        220.9460984245205,
        -275.9285104469687,
        138.3577518672690,
        -30.66479806614716,
        2.506628277459239,
    ),
    (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572, 1.0),
)
_TAIL = (
    (
        -0.007784894002430293,
        -0.3223964580411365,
        -2.400758277161838,
        -2.549732539343734,
        4.374664141464968,
        2.938163982698783,
    ),
    (0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1.0),
)
_BREAK = 0.02425


def _polynomial(coefficients: Sequence[float], x: Tensor) -> Tensor:
    """Horner's scheme, highest power first."""
    total = torch.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


def inverse_normal(p: Tensor) -> Tensor:
    """Quantile function of the standard normal for p in (0, 1), element by element."""
    q = p - 0.5
    r = q * q
    centre = _polynomial(_CENTRE[0], r) * q / _polynomial(_CENTRE[1], r)
    s = torch.sqrt(-2.0 * torch.log(torch.minimum(p, 1.0 - p).clamp(min=1e-30)))
    tail = _polynomial(_TAIL[0], s) / _polynomial(_TAIL[1], s)
    outside = torch.minimum(p, 1.0 - p) < _BREAK
    return torch.where(outside, torch.where(p < 0.5, tail, -tail), centre)


class Encoder(nn.Module):
    """Rows [N, numerics + categories] (float, NaN for missing, category codes last) to dense vectors [N, D].

    `knots` are the training quantiles [numerics, K] in rising order; `flagged` the numerics that get a missing flag;
    `levels` the number of codes per category, code 0 meaning "other".
    """

    knots: Tensor
    flagged: Tensor

    def __init__(self, knots: Tensor, flagged: Sequence[int], levels: dict[str, int]) -> None:
        super().__init__()
        self.register_buffer("knots", knots)
        self.register_buffer("flagged", torch.tensor(flagged, dtype=torch.long))
        self.embeddings = nn.ModuleList(nn.Embedding(levels[name], size) for name, size in EMBEDDING.items())
        for embedding in self.embeddings:
            nn.init.normal_(embedding.weight, std=0.1)

    @property
    def width(self) -> int:
        """D, the size of the dense vector."""
        return self.knots.shape[0] + self.flagged.shape[0] + sum(EMBEDDING.values())

    def scores(self, numeric: Tensor) -> Tensor:
        """Normal scores of the numerics [N, C] followed by the missing flags; a missing value scores 0."""
        missing = torch.isnan(numeric)
        x = torch.nan_to_num(numeric)
        above, last = x.unsqueeze(2), self.knots.shape[1] - 1
        # int32 sums of flags are seven times as fast as the default int64
        left, right = ((flags.sum(2, dtype=torch.int32).long()) for flags in (self.knots < above, self.knots <= above))
        position = 0.5 * (self._interpolate(x, left) + self._interpolate(x, right))
        z = inverse_normal((position / last).clamp(EDGE, 1.0 - EDGE))
        z = torch.where(missing, torch.zeros_like(z), z)
        return torch.cat([z, missing.index_select(1, self.flagged).to(z.dtype)], dim=1)

    def _interpolate(self, x: Tensor, below: Tensor) -> Tensor:
        """Fractional index of x [N, C] among the knots, given how many knots lie below it."""
        last = self.knots.shape[1] - 1
        upper = below.clamp(1, last).T
        low, high = self.knots.gather(1, upper - 1).T, self.knots.gather(1, upper).T
        step = torch.where(high > low, (x - low) / (high - low).clamp(min=1e-12), torch.zeros_like(x))
        # At a largest value that is tied, the interval above it is empty and says nothing.
        return torch.where(below > last, torch.full_like(x, last), (upper - 1).T + step.clamp(0.0, 1.0))

    def embed(self, codes: Tensor) -> Tensor:
        """Embeddings of the category codes [N, 3], side by side."""
        return torch.cat([embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)], dim=1)

    def forward(self, rows: Tensor) -> Tensor:
        """Rows [N, C + 3] to dense vectors [N, D]."""
        numerics = self.knots.shape[0]
        return torch.cat([self.scores(rows[:, :numerics]), self.embed(rows[:, numerics:].long())], dim=1)


class Head(nn.Module):
    """Dense vectors [N, D] to logits [N]."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size in HIDDEN:
            layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.SiLU(), nn.Dropout(DROPOUT)]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def forward(self, dense: Tensor) -> Tensor:
        """Dense vectors [N, D] to logits [N]."""
        return self.layers(dense).squeeze(1)


class DelayNet(nn.Module):
    """Encoder and head in one: rows [N, C + 3] to the probability [N] of arriving late or not at all."""

    def __init__(self, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, rows: Tensor) -> Tensor:
        """Rows to probabilities."""
        return torch.sigmoid(self.head(self.encoder(rows)))
