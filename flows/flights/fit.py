"""Training: AdamW with a short one-cycle, either stopped early on the last month or refitted for a fixed length."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from flights.dataset import VALIDATION, Rows, split
from flights.model import DelayNet, Encoder, Head
from flights.preparation import Preparation

CHUNK = 1_024


@dataclass(frozen=True)
class Recipe:
    """How to train. `protocol` "early-stop": train on the months before `last`, keep the epoch that is best on
    `last`; "refit": on all months up to it, `refit_epochs` epochs, nothing held out."""

    seed: int = 0
    protocol: str = "early-stop"
    last: int = VALIDATION.start
    epochs: int = 8
    refit_epochs: int = 6
    patience: int = 2
    batch: int = 4_096
    rate: float = 4e-3
    decay: float = 1e-2
    device: str = "cpu"


@dataclass
class Fitted:
    """A trained network on the CPU in evaluation mode, what was learnt before it, and the loss by epoch."""

    net: DelayNet
    preparation: Preparation
    losses: list[float] = field(default_factory=list)
    best_epoch: int = 0


@dataclass(frozen=True)
class _Tensors:
    """Rows ready for the loop: normal scores, category codes, labels."""

    scores: Tensor
    codes: Tensor
    y: Tensor


def choose_device(wanted: str) -> str:
    """ "auto" is cuda where there is one, else cpu."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if wanted == "auto" else wanted


def fit(rows: Rows, recipe: Recipe, report: Callable[[str], None] = print) -> Fitted:
    """Train one network on the training months of `rows` (labelled, any months)."""
    refit = recipe.protocol == "refit"
    months, choice, _ = split(recipe.last)
    train = rows.months([*months, *choice] if refit else months)
    torch.manual_seed(recipe.seed)
    np.random.seed(recipe.seed)
    preparation = Preparation.learn(train)
    levels = {name: len(known) + 1 for name, known in preparation.levels.items()}
    encoder = Encoder(torch.from_numpy(preparation.knots), preparation.flagged, levels)
    net = DelayNet(encoder, Head(encoder.width)).to(recipe.device)
    data = _tensors(net, preparation, train, recipe.device)
    held_out = None if refit else _tensors(net, preparation, rows.months(choice), recipe.device)
    fitted = Fitted(net, preparation)
    _loop(fitted, data, held_out, recipe, report)
    fitted.net.to("cpu").eval()
    return fitted


def _loop(
    fitted: Fitted, data: _Tensors, held_out: _Tensors | None, recipe: Recipe, report: Callable[[str], None]
) -> None:
    net, epochs = fitted.net, recipe.epochs if held_out else recipe.refit_epochs
    optimiser = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    # With fewer than eight a phase of the cycle can be empty, by whose length torch divides.
    steps = max(8, epochs * (len(data.y) // recipe.batch))
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=steps, pct_start=0.25)
    best: dict[str, Tensor] = {}
    for epoch in range(1, epochs + 1):
        net.train()
        for index in _batches(len(data.y), recipe.batch, recipe.device):
            optimiser.zero_grad(set_to_none=True)
            loss = nn.functional.binary_cross_entropy_with_logits(_logits(net, data, index), data.y[index])
            loss.backward()
            optimiser.step()
            cycle.step()
        fitted.losses.append(_log_loss(net, held_out) if held_out else float(loss.detach()))
        report(f"epoch {epoch}: {'held-out' if held_out else 'last batch'} log-loss {fitted.losses[-1]:.5f}")
        if fitted.losses[-1] == min(fitted.losses) or held_out is None:
            fitted.best_epoch, best = epoch, copy.deepcopy(net.state_dict())
        if held_out and epoch - fitted.best_epoch >= recipe.patience:
            break
    net.load_state_dict(best)


def _batches(rows: int, batch: int, device: str) -> Iterator[Tensor]:
    """Shuffled batches of positions; the last partial one is dropped unless it is the only one."""
    order = torch.randperm(rows).to(device)
    for start in range(0, max(rows - batch, 0) + 1, batch):
        yield order[start : start + batch]


def _tensors(net: DelayNet, preparation: Preparation, rows: Rows, device: str) -> _Tensors:
    """Transform once before the loop, in chunks: the counting comparison needs 49 x 101 flags per row."""
    matrix = torch.from_numpy(preparation.matrix(rows)).to(device)
    numerics = preparation.knots.shape[0]
    with torch.no_grad():
        scores = torch.cat([net.encoder.scores(chunk[:, :numerics]) for chunk in matrix.split(CHUNK)])
    return _Tensors(scores, matrix[:, numerics:].long(), torch.from_numpy(rows.y).to(device))


def _logits(net: DelayNet, data: _Tensors, index: Tensor | slice) -> Tensor:
    return net.head(torch.cat([data.scores[index], net.encoder.embed(data.codes[index])], dim=1))


def _log_loss(net: DelayNet, data: _Tensors) -> float:
    net.eval()
    with torch.no_grad():
        return float(nn.functional.binary_cross_entropy_with_logits(_logits(net, data, slice(None)), data.y))


def predict(model: Callable[[Tensor], Tensor], matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Probabilities [N] of model inputs [N, 52], in chunks; `model` is a DelayNet or an exported one."""
    with torch.no_grad():
        chunks = [model(chunk) for chunk in torch.from_numpy(matrix).split(CHUNK)]
    return torch.cat(chunks).double().numpy()
