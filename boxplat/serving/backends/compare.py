"""How far answers are apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxplat.serving.backends.runner import Array


def difference(answers: Sequence[Array], expected: Sequence[Array]) -> float:
    """Largest absolute difference relative to the scale of the expected answers, over all outputs.

    The scale of an output is its largest finite magnitude, so 0.001 means a thousandth of that. Infinite where the
    shapes differ, or where a value is missing or infinite on one side only.
    """
    if len(answers) != len(expected):
        return float("inf")
    return max((_difference(a, e) for a, e in zip(answers, expected, strict=True)), default=0.0)


def _difference(answer: Array, expected: Array) -> float:
    if answer.shape != expected.shape:
        return float("inf")
    a, e = (np.asarray(values, dtype=np.float64) for values in (answer, expected))
    finite = np.isfinite(e)
    if not (np.array_equal(np.isfinite(a), finite) and np.array_equal(a[~finite], e[~finite], equal_nan=True)):
        return float("inf")
    if not finite.any():
        return 0.0
    apart = float(np.abs(a[finite] - e[finite]).max())
    scale = float(np.abs(e[finite]).max())
    if not apart:
        return 0.0
    return apart / scale if scale else float("inf")
