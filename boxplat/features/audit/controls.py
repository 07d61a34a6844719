"""The rows against the code on cut sources, and what is planted so that a silent audit proves something."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.audit import sources
from boxplat.features.audit.comparison import Comparison, Row, equal
from boxplat.features.audit.rebuilding import PLANTED, Rebuilding
from boxplat.features.audit.report import Control, Hidden
from boxplat.features.audit.sampling import Moment
from boxplat.features.repository import Told


def compared(work: Rebuilding, moments: Sequence[Moment], told: Told) -> tuple[Comparison, Control]:
    """All rows compared; and the control: a planted column that knows the future is seen to change.

    In the set it holds the newest fact of the sources; rebuilt, the newest fact of what the code was given.
    """
    last = sources.newest(work.con, work.said.sources, lambda file: file)
    result, due = Comparison(), 0
    columns = (*work.said.compared, PLANTED)
    for number, moment in enumerate(moments, 1):
        told(f"decision time {number} of {len(moments)}: {moment.when:%Y-%m-%d %H:%M}, {len(moment.rows)} rows")
        found = work.at(moment)
        planted = [{**row, PLANTED: last} for row in moment.rows]
        result.add(moment.when, planted, found, work.said.row, columns, work.said.tolerance)
        back = [row for row in moment.rows if tuple(row[name] for name in work.said.row) in found]
        due += len(back) if last is not None and last > moment.time_us else 0
    seen = result.differences.pop(PLANTED, None)
    count = seen.rows if seen else 0
    detail = f"{count} of {due} rows"
    return result, Control("a planted column, the newest fact of the sources, changes", 0 < due == count, detail)


def reads_sources(work: Rebuilding, rows: Sequence[Row]) -> tuple[Control, list[str]]:
    """The control: without data the code makes other rows; and the columns that stay although they vary over rows."""
    name = "without data the code builds something else"
    try:
        found = work.from_nothing(rows)
    except BoxError as error:
        if error.code != ExitCode.FAILED:
            raise
        return Control(name, True, "it fails"), []
    trusted = {*work.said.ids, *work.said.given}
    columns = [column for column in work.said.compared if column not in trusted]
    keys = [tuple(row[part] for part in work.said.row) for row in rows]
    rebuilt = [found.get(key, {}) for key in keys]
    same = [column for column in columns if _same(column, rows, rebuilt)]
    kept = [column for column in same if any(not equal(row[column], rows[0][column]) for row in rows)]
    changed = len(columns) - len(same)
    return Control(name, changed > 0, f"{changed} of {len(columns)} columns change"), kept


def _same(column: str, rows: Sequence[Row], rebuilt: Sequence[Row]) -> bool:
    return all(column in new and equal(row[column], new[column]) for row, new in zip(rows, rebuilt, strict=True))


def hidden_control(hidden: Sequence[Hidden]) -> Control:
    """The control: hiding the future took something out of the sources."""
    rows, values = sum(one.rows for one in hidden), sum(one.values for one in hidden)
    return Control("hiding the future takes data away", rows + values > 0, f"{rows:,} rows and {values:,} values")
