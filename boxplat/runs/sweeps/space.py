"""The ranges that a search draws from: `log:1e-5..1e-1`, `int:32..256:32`, `choice:adam,sgd`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from boxplat.core.errors import BoxError, ExitCode
from boxplat.runs.sweeps.values import split

KINDS = ("float", "log", "int", "intlog", "choice")
FORMS = "float:0..1[:STEP], log:1e-5..1e-1, int:32..256[:STEP], intlog:1..1024, choice:adam,sgd"


@dataclass(frozen=True, slots=True)
class Range:
    """What one parameter may be: numbers from `low` to `high`, both included, or one of `choices`."""

    kind: str
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        return self.kind in ("int", "intlog")

    @property
    def log(self) -> bool:
        return self.kind in ("log", "intlog")


def read(spec: Mapping[str, str]) -> dict[str, Range]:
    """The ranges by parameter.

    Raises:
        BoxError: one of them makes no sense (exit code 2).
    """
    return {name: _range(name, text) for name, text in spec.items()}


def _range(name: str, text: str) -> Range:
    kind, sign, rest = text.partition(":")
    if not sign or kind not in KINDS:
        raise _refused(name, text, "it does not begin with one of " + ", ".join(f"{kind}:" for kind in KINDS))
    if kind == "choice":
        choices = split(rest)
        if len(choices) < 2 or "" in choices or len(set(choices)) < len(choices):
            raise _refused(name, text, "a choice needs at least two values, none of them empty and none of them twice")
        return Range(kind, choices=tuple(choices))
    return _numbers(name, text, kind, rest)


def _numbers(name: str, text: str, kind: str, rest: str) -> Range:
    bounds, sign, step_text = rest.partition(":")
    low_text, dots, high_text = bounds.partition("..")
    if not dots:
        raise _refused(name, text, "the bounds are not of the form LOW..HIGH")
    try:
        low, high = float(low_text), float(high_text)
        step = float(step_text) if sign else None
    except ValueError as error:
        raise _refused(name, text, f"{str(error).rpartition(': ')[2]} is no number") from error
    numbers = [low, high, *([] if step is None else [step])]
    why = ""
    if not all(map(math.isfinite, numbers)):
        why = "a bound is not finite"
    elif low >= high:
        why = f"{low_text} is not below {high_text}"
    elif kind in ("int", "intlog") and any(number != int(number) for number in numbers):
        why = "an int range has whole numbers"
    elif step is not None and (step <= 0 or kind in ("log", "intlog")):
        why = "a step is positive, and of float and int ranges only"
    elif kind in ("log", "intlog") and low <= 0:
        why = "the logarithm needs a lower bound above 0"
    if why:
        raise _refused(name, text, why)
    return Range(kind, low, high, step)


def _refused(name: str, text: str, why: str) -> BoxError:
    return BoxError(
        f"--search {name}={text} is no range", why=why, fix=f"one of these forms: {FORMS}", code=ExitCode.USAGE
    )
