"""From differences to findings: which columns are refused, and for what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxplat.core.errors import BoxError
from boxplat.features.audit.comparison import Comparison, Difference, Example, Row, equal
from boxplat.features.audit.rebuilding import Built, Rebuilding
from boxplat.features.audit.report import ABSENT, ELSEWHERE, FUTURE, OTHER, UNDECLARED, Finding

EXAMPLES = 3


def findings(
    work: Rebuilding,
    result: Comparison,
    rows: Sequence[Row],
    kept: Sequence[str],
    undeclared: Sequence[str],
    alone: Mapping[str, float],
) -> list[Finding]:
    """Columns that change, that the code lacks, that no source explains, and that nobody declares; the worst first.

    Raises:
        BoxError: the code does not build the wanted rows even from all data (exit code 1).
    """
    trusted = {*work.said.ids, *work.said.given}
    everything = work.from_everything(rows) if result.differences or result.missing else {}
    _must_exist(work, result, everything)
    changed = [_changed(work, one, result, everything, alone) for one in result.differences.values()]
    found = sorted(changed, key=lambda one: (one.kind != FUTURE, -(one.auc or 0), -one.rows))
    for kind, columns in (
        (ABSENT, sorted(result.absent - trusted)),
        (ELSEWHERE, kept),
        (UNDECLARED, undeclared),
    ):
        known = {one.column for one in found}
        found += [Finding(column, kind, auc=alone.get(column)) for column in columns if column not in known]
    return found


def _must_exist(work: Rebuilding, result: Comparison, everything: Built) -> None:
    if result.missing and not any(tuple(one.row.values()) in everything for one in result.missing):
        raise BoxError(
            f"{work.said.build} does not return the rows it is asked for",
            why=f"of {result.rows} rows {len(result.missing)} were missing, also when built from all data, like "
            f"{dict(result.missing[0].row)}",
            fix="return one row for each wanted one, with the columns that name it: docs/audit.md",
        )


def _changed(
    work: Rebuilding, one: Difference, result: Comparison, everything: Built, alone: Mapping[str, float]
) -> Finding:
    """A column knows the future when all data give what the set holds and the past does not."""
    future = [example for example in one.examples if _reproduced(one.column, example, everything, work.said.tolerance)]
    return Finding(
        one.column,
        FUTURE if future else OTHER,
        len(future) or one.rows,
        result.rows - len(result.missing),
        one.mean_difference,
        alone.get(one.column),
        _spread(future or one.examples),
    )


def _spread(examples: Sequence[Example]) -> list[Example]:
    """A few of the examples, from the first to the last in time."""
    return [examples[i * (len(examples) - 1) // max(1, EXAMPLES - 1)] for i in range(min(EXAMPLES, len(examples)))]


def _reproduced(column: str, example: Example, everything: Built, tolerance: float) -> bool:
    row = everything.get(tuple(example.row.values()))
    return row is not None and column in row and equal(example.value, row[column], tolerance)
