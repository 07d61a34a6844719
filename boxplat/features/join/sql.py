"""The plan for everything: matching in SQL alone, with DuckDB minding the memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from boxplat.core.errors import BoxError
from boxplat.features.database import quoted
from boxplat.features.join import keys, scan
from boxplat.features.join.entity import Entities
from boxplat.features.join.refusals import explained
from boxplat.features.join.session import Session
from boxplat.features.join.source import Source
from boxplat.features.join.times import micros

# Older than any creation time: what has none loses against what has one.
_NEVER = "-9223372036854775807"


def match(source: Source, entities: Entities, cutoff: bool, session: Session) -> np.ndarray:
    """The number of the history row for each entity row, int64 [N]; -1 where there is none."""
    rows = np.full(entities.table.num_rows, -1, np.int64)
    if source.rows == 0 or entities.span is None:
        return rows
    forms = [
        keys.common(source.history.name, (theirs, entities.table.schema.field(theirs).type), (ours, source.kind(ours)))
        for ours, theirs in source.history.keys
    ]
    con = session.cursor()
    try:
        con.register("entity_rows", _table(entities, source))
        with explained(f"the source of {source.history.name}", session.options.temp_directory):
            found = con.sql(_statement(source, entities, forms, cutoff)).to_arrow_table()
    except BoxError:
        _accuse(source)
        raise
    finally:
        con.close()
    rows[found.column("rid").to_numpy()] = found.column("rn").to_numpy()
    return rows


def _accuse(source: Source) -> None:
    """Raise the error that names the file, where one file is to blame; DuckDB does not say which."""
    for column in source.schema.names:
        scan.read(source, scan.every(source), column)


def _table(entities: Entities, source: Source) -> pa.Table:
    columns = {f"k{index}": entities.table.column(name) for index, (_, name) in enumerate(source.history.keys)}
    mask = None if entities.timed is None else ~entities.timed
    columns["t"] = pa.chunked_array([pa.array(entities.times, mask=mask)])
    columns["rid"] = pa.chunked_array([pa.array(np.arange(len(entities.times)))])
    return pa.table(columns)


def _statement(source: Source, entities: Entities, forms: list[keys.Common], cutoff: bool) -> str:
    ttl = source.history.reach
    names = [f"k{index}" for index in range(len(forms))] or ["k0"]
    wanted = _entity(source, entities, forms)
    late = cutoff and source.history.created is not None
    known = _by_availability(source, entities, forms, names) if late else _by_time(source, entities, forms, names)
    equal = " AND ".join(f"e.{name} = f.{name}" for name in names)
    limit = f" WHERE e.t - f.t <= {ttl}" if ttl else ""
    return f"SELECT e.rid, f.rn FROM ({wanted}) e ASOF JOIN ({known}) f ON {equal} AND e.t >= f.since{limit}"


def _entity(source: Source, entities: Entities, forms: list[keys.Common]) -> str:
    columns = [
        f"{keys.expression(f'k{index}', entities.table.schema.field(theirs).type, form)} AS k{index}"
        for index, ((_, theirs), form) in enumerate(zip(source.history.keys, forms, strict=True))
    ]
    return f"SELECT {', '.join(columns or ['0 AS k0'])}, t, rid FROM entity_rows WHERE t IS NOT NULL"


def _history(source: Source, entities: Entities, forms: list[keys.Common]) -> str:
    """SQL for keys, event time `t`, creation time `c` and row number `rn` of the rows that can be the newest one."""
    history = source.history
    columns = [
        f"{keys.expression(quoted(ours), source.kind(ours), form)} AS k{index}"
        for index, ((ours, _), form) in enumerate(zip(history.keys, forms, strict=True))
    ] or ["0 AS k0"]
    created = micros(quoted(history.created), source.kind(history.created)) if history.created else "NULL::BIGINT"
    time = micros(quoted(history.timestamp), source.kind(history.timestamp))
    return (
        f"SELECT {', '.join(columns)}, {time} AS t, {created} AS c, {source.number} AS rn FROM {source.relation} "
        f"WHERE {window(source, entities)}"
    )


def _by_time(source: Source, entities: Entities, forms: list[keys.Common], names: list[str]) -> str:
    best = f"max_by(rn, ROW(coalesce(c, {_NEVER}), rn))" if source.history.created else "max(rn)"
    keyed = ", ".join(names)
    inner = _history(source, entities, forms)
    return f"SELECT {keyed}, t AS since, t, {best} AS rn FROM ({inner}) GROUP BY {keyed}, t"


def _by_availability(source: Source, entities: Entities, forms: list[keys.Common], names: list[str]) -> str:
    """A row exists from the later of its two times on, so the newest one that exists is a running maximum."""
    keyed = ", ".join(names)
    inner = _history(source, entities, forms)
    return (
        f"SELECT {keyed}, since, struct_extract(max(best), 't') AS t, struct_extract(max(best), 'rn') AS rn FROM ("
        f"SELECT {keyed}, greatest(t, c) AS since, max({{'t': t, 'c': c, 'rn': rn}}) OVER "
        f"(PARTITION BY {keyed} ORDER BY greatest(t, c)) AS best FROM ({inner}) WHERE c IS NOT NULL) "
        f"GROUP BY {keyed}, since"
    )


def window(source: Source, entities: Entities) -> str:
    """SQL condition: event times that some entity row can see, so that row groups outside are not read."""
    span = entities.span
    if span is None:
        return "false"
    history = source.history
    first, last = span[0] - (history.reach or 0), span[1]
    column, kind = quoted(history.timestamp), source.kind(history.timestamp)
    zone = "tz" if pa.types.is_timestamp(kind) and kind.tz else ""
    if pa.types.is_timestamp(kind) and kind.unit == "us":
        value, low, high = column, f"make_timestamp{zone}({first})", f"make_timestamp{zone}({last})"
    else:
        value, low, high = micros(column, kind), str(first), str(last)
    return f"{value} <= {high}" + (f" AND {value} >= {low}" if history.reach else "")
