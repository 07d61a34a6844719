"""Entity rows for a request that has none: the keys and times of the views' own rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import Limits, connect, quoted
from boxplat.features.offline import times
from boxplat.features.offline.entity import DEFAULT_TIMESTAMP
from boxplat.features.offline.source import Source, look_up

if TYPE_CHECKING:
    from boxplat.features.offline.historical import Request
    from boxplat.features.offline.views import Needed


def query(
    shares: Sequence[Needed], request: Request, repo: Path | None, limits: Limits
) -> tuple[str, tuple[datetime, datetime]]:
    """SQL for each distinct pair of keys and event time in the views' rows between two dates, in order of time.

    A row has the keys of all views; those that the view it comes from does not have are NULL, so that the other views'
    features are NULL there too. As everywhere in Feast, no start means: as long before the end as the longest life
    time, or 30 days.

    Returns:
        The query, and the range of times.

    Raises:
        BoxError: the range ends before it starts (exit code 2).
    """
    from feast.utils import compute_non_entity_date_range

    start, end = compute_non_entity_date_range(list(request.views), request.start, request.end)
    if start > end:
        raise BoxError(
            f"the range of times starts after its end: {start} to {end}",
            why="no row can lie in it",
            fix="exchange start_date and end_date",
            code=ExitCode.USAGE,
        )
    columns = list(dict.fromkeys(column for share in shares for _, column in share.keys))
    with connect(limits) as con:
        parts = [_part(share, look_up(share.source, repo, con), columns, (start, end)) for share in shares]
    order = ", ".join(quoted(name) for name in [DEFAULT_TIMESTAMP, *columns])
    return f"{' UNION '.join(parts)} ORDER BY {order}", (start, end)


def _part(share: Needed, source: Source, columns: Sequence[str], span: tuple[datetime, datetime]) -> str:
    history = share.history(source)
    mine = {column: quoted(name) for name, column in history.keys}
    chosen = [f"{mine.get(column, 'NULL')} AS {quoted(column)}" for column in columns]
    # The session's time zone is UTC, so a naive time becomes the same instant.
    chosen.append(f"CAST({times.instant(source, history.timestamp)} AS TIMESTAMPTZ) AS {quoted(DEFAULT_TIMESTAMP)}")
    conditions = [times.between(source, history.timestamp, *span), *(f"{name} IS NOT NULL" for name in mine.values())]
    return f"SELECT DISTINCT {', '.join(chosen)} FROM {source.relation} WHERE {' AND '.join(conditions)}"
