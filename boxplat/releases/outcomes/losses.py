"""What a prediction loses by its outcome, as SQL from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.live import OutcomesConfig

# The log loss of a probability of 1 % for what then happens.
_LOG_BOUND = 4.6
_FORMULAS = {
    "error": "((score >= {threshold}) <> (label >= 0.5))::double",
    "brier": "(score - label) * (score - label)",
    "log": "-ln(greatest(case when label >= 0.5 then score else 1 - score end, 1e-300))",
    "squared": "(score - label) * (score - label)",
    "absolute": "abs(score - label)",
}
# Where the outcome is a word, the prediction is one too.
_WORDS = "(predicted <> said)::double"
_COLUMN = "column:"


@dataclass(frozen=True, slots=True)
class Loss:
    """`sql` is over `score`, `predicted`, `label`, `said` and `more`, its values are shares of `bound`;
    null where it cannot be told."""

    name: str
    sql: str
    bound: float


def loss(said: OutcomesConfig) -> Loss:
    """The declared loss.

    Raises:
        BoxError: there is none of this name, or it has no bound (exit code 2).
    """
    bound = said.bound or {"error": 1.0, "brier": 1.0, "log": _LOG_BOUND}.get(said.loss, 0.0)
    if said.loss.startswith(_COLUMN):
        name = said.loss.removeprefix(_COLUMN).replace("'", "''")
        sql = f"try_cast(more->>'{name}' as double)"
    elif said.loss in _FORMULAS:
        sql = _FORMULAS[said.loss].format(threshold=float(said.threshold))
    else:
        raise _wrong(f"loss {said.loss!r} is not known", f"known: {', '.join(_FORMULAS)}, column:NAME")
    if not bound:
        raise _wrong(f"the loss {said.loss} has no bound", "the test needs the largest loss that counts: bound = 60")
    if said.loss == "error":
        sql = f"case when said is null then {sql} else {_WORDS} end"
    share = f"({sql}) / {float(bound)}"
    # DuckDB's least of 1 and nothing is 1: what cannot be told would be the largest loss there is.
    return Loss(said.loss, f"case when isfinite({share}) then greatest(0, least(1, {share})) end", float(bound))


def _wrong(what: str, why: str) -> BoxError:
    fix = "correct it in boxplat.toml: [outcomes.ENDPOINT]   (docs/comparison.md)"
    return BoxError(what, why=why, fix=fix, code=ExitCode.USAGE)
