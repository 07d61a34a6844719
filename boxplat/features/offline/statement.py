"""A point-in-time join as one statement that a person can read and run; the join itself works otherwise and faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxplat.features.database import literal, quoted
from boxplat.features.offline.entity import Rows

if TYPE_CHECKING:
    from boxplat.features.join import History

_ROW = quoted("__row")


def point_in_time(rows: Rows, histories: Sequence[History], created_cutoff: bool) -> str:
    """DuckDB SQL for the join of entity rows from a query; run it with `SET TimeZone = 'UTC'`.

    Per row and view it takes the newest history row at or before the row's time and within the life time; of equal
    times the one created last (NULL before any).
    """
    parts = [f"entity AS (SELECT row_number() OVER () AS {_ROW}, * FROM ({rows.query}))"]
    columns, joins = [f"entity.* EXCLUDE ({_ROW})"], []
    for index, history in enumerate(histories):
        view = f"view{index}"
        parts.append(f"{view} AS ({_view(history, rows.timestamp, created_cutoff)})")
        columns += [f"{view}.v[{place}] AS {quoted(out)}" for place, (_, out) in enumerate(history.features, 1)]
        joins.append(f"LEFT JOIN {view} USING ({_ROW})")
    select = f"SELECT {', '.join(columns)} FROM entity"
    return "\n".join(["WITH", ",\n".join(parts), select, *joins, f"ORDER BY entity.{_ROW}"])


def _view(history: History, timestamp: str, created_cutoff: bool) -> str:
    at, moment = (
        f"CAST(entity.{quoted(timestamp)} AS TIMESTAMPTZ)",
        f"CAST(h.{quoted(history.timestamp)} AS TIMESTAMPTZ)",
    )
    conditions = [f"h.{quoted(name)} = entity.{quoted(column)}" for name, column in history.keys]
    conditions.append(f"{moment} <= {at}")
    if history.ttl_us:
        conditions.append(f"epoch_us({at}) - epoch_us({moment}) <= {history.ttl_us}")
    order = [f"epoch_us({moment})"]
    if history.created:
        created = f"CAST(h.{quoted(history.created)} AS TIMESTAMPTZ)"
        order.append(f"coalesce(epoch_us({created}), -9223372036854775808)")
        if created_cutoff:
            conditions.append(f"{created} <= {at}")
    values = f"row({', '.join(f'h.{quoted(name)}' for name, _ in history.features)})"
    return (
        f"SELECT entity.{_ROW}, arg_max({values}, row({', '.join(order)})) AS v "
        f"FROM entity JOIN ({_relation(history)}) h ON {' AND '.join(conditions)} GROUP BY ALL"
    )


def _relation(history: History) -> str:
    return history.query or f"SELECT * FROM read_parquet([{', '.join(map(literal, history.files))}])"
