"""Rows of a SQLite database written to PostgreSQL: added, brought up to date, and compared, as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import Connection, Engine

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.migrate.model import Table
from boxplat.export.migrate.tables import Layout, counts, layouts, quoted
from boxplat.export.migrate.values import Checksum, Row

Told = Callable[[str], None]
_STAGE = "boxplat_stage"
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Sides:
    """Where rows come from and go to.

    `base` is what was migrated the last time, by which a row that was changed here since is told from one that was
    changed there. With `replace` whatever differs there is overwritten.
    """

    source: Connection
    target: Engine
    base: Connection | None = None
    replace: bool = False


@dataclass(slots=True)
class _Tally:
    written: int = 0
    removed: int = 0
    own: int = 0
    conflicts: list[str] = field(default_factory=list)


def copy_rows(sides: Sides, told: Told) -> tuple[Table, ...]:
    """Make the tables of the target hold every row of the source, then compare both sides.

    Each batch is a transaction of its own: what is cut off is made up for by doing the same again. Rows that are only
    there and never came from here stay.

    Raises:
        BoxError: rows were changed there since the last time, or the sides differ in the end (exit code 10).
    """
    with sides.target.connect() as connection:
        found = layouts(sides.source, connection)
    there = {layout.name: same for layout in found if (same := _same(sides, layout))}
    todo = [layout for layout in found if layout.name not in there]
    tallies = {layout.name: _Tally() for layout in todo}
    for layout in todo:
        _add(sides, layout, tallies[layout.name], told)
    for layout in reversed(todo):
        _remove(sides, layout, tallies[layout.name])
    _refuse([conflict for tally in tallies.values() for conflict in tally.conflicts])
    with sides.target.begin() as connection:
        for layout in found:
            _advance(connection, layout)
    told("comparing both sides")
    return tuple(there.get(layout.name) or _compared(sides, layout, tallies[layout.name]) for layout in found)


def _same(sides: Sides, layout: Layout) -> Table | None:
    """The table if it is equal over there already."""
    with sides.target.connect() as connection:
        rows = counts(sides.source, [layout.name])[layout.name]
        if counts(connection, [layout.name])[layout.name] != rows:
            return None
    here, there = _sums(sides, layout, own=False)
    return Table(layout.name, here.rows, here.text, written=0) if here == there else None


def _add(sides: Sides, layout: Layout, tally: _Tally, told: Told) -> None:
    done = 0
    for batch in layout.rows(sides.source):
        with sides.target.begin() as connection:
            _put(sides, connection, layout, batch, tally)
        done += len(batch)
        told(f"{layout.name}: {done} rows")


def _put(sides: Sides, connection: Connection, layout: Layout, batch: Sequence[Row], tally: _Tally) -> None:
    listed, key = layout.listed, ", ".join(map(quoted, layout.key))
    _stage(connection, layout, batch)
    added = connection.exec_driver_sql(
        f"insert into {layout.quoted} ({listed}) select {listed} from {_STAGE} on conflict do nothing"
    ).rowcount
    tally.written += added
    if added == len(batch):
        return
    columns = ", ".join(f"there.{_text(column)}" for column in layout.columns)
    there = connection.exec_driver_sql(
        f"select {columns} from {layout.quoted} there join {_STAGE} using ({key})"
    ).fetchall()
    _update(sides, connection, layout, batch, [tuple(row) for row in there], tally)


def _stage(connection: Connection, layout: Layout, batch: Sequence[Row]) -> None:
    connection.exec_driver_sql(
        f"create temporary table {_STAGE} on commit drop as select {layout.listed} from {layout.quoted} with no data"
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(f"copy {_STAGE} ({layout.listed}) from stdin") as stream:
        for row in batch:
            stream.write_row(row)


def _text(column: Any) -> str:
    """A column for a select list; JSON as its text, as SQLite has it."""
    name = quoted(column.name)
    return f"{name}::text" if type(column.type).__name__ in ("JSON", "JSONB") else name


def _update(
    sides: Sides, connection: Connection, layout: Layout, batch: Sequence[Row], there: Sequence[Row], tally: _Tally
) -> None:
    """Bring the rows up to date that differ; those whose key is not there clash with another row in a unique column."""
    checksum = Checksum(layout.columns)
    known = {layout.key_of(row): row for row in there}
    for row in batch:
        key = layout.key_of(row)
        found = known.get(key)
        if found is None:
            tally.conflicts.append(f"{_named(layout, key)}: another row there has its name")
        elif checksum.digest(found) == checksum.digest(row):
            continue
        elif sides.replace or _in(sides.base, layout, found):
            _overwrite(connection, layout, row)
            tally.written += 1
        else:
            tally.conflicts.append(f"{_named(layout, key)}: changed there")


def _overwrite(connection: Connection, layout: Layout, row: Row) -> None:
    values = dict(zip((column.name for column in layout.columns), row, strict=True))
    rest = [name for name in values if name not in layout.key]
    assigned = ", ".join(f"{quoted(name)} = %s" for name in rest)
    where = " and ".join(f"{quoted(name)} = %s" for name in layout.key)
    connection.exec_driver_sql(
        f"update {layout.quoted} set {assigned} where {where}",
        tuple(values[name] for name in (*rest, *layout.key)),
    )


def _in(database: Connection | None, layout: Layout, row: Row) -> bool:
    """Whether a SQLite database has exactly this row."""
    found = _by_key(database, layout, layout.key_of(row))
    checksum = Checksum(layout.columns)
    return found is not None and checksum.digest(found) == checksum.digest(row)


def _by_key(database: Connection | None, layout: Layout, key: Row) -> Row | None:
    if database is None:
        return None
    where = " and ".join(f"{quoted(name)} = ?" for name in layout.key)
    names = [column.name for column in layout.columns if column.name in layout.key]
    values = dict(zip(names, key, strict=True))
    row = database.exec_driver_sql(
        f"select {layout.listed} from {layout.quoted} where {where}", tuple(values[name] for name in layout.key)
    ).first()
    return None if row is None else layout.values(row)


def _named(layout: Layout, key: Row) -> str:
    return f"{layout.name} {' '.join(str(value)[:60] for value in key)}"


def _there(connection: Connection, layout: Layout) -> Iterator[list[Row]]:
    columns = ", ".join(_text(column) for column in layout.columns)
    streamed = connection.execution_options(stream_results=True, max_row_buffer=_BATCH)
    for part in streamed.exec_driver_sql(f"select {columns} from {layout.quoted}").partitions(_BATCH):
        yield [tuple(row) for row in part]


def _remove(sides: Sides, layout: Layout, tally: _Tally) -> None:
    """Delete what came from here and is no longer here; what was never here is the cluster's own."""
    with sides.target.connect() as reading:
        more = counts(reading, [layout.name])[layout.name] - counts(sides.source, [layout.name])[layout.name]
        extra = [
            row
            for part in (_there(reading, layout) if more > 0 else ())
            for row in part
            if _by_key(sides.source, layout, layout.key_of(row)) is None
        ]
    gone = [row for row in extra if _in(sides.base, layout, row)]
    tally.own = len(extra) - len(gone)
    with sides.target.begin() as connection:
        for row in gone:
            _delete(connection, layout, row)
    tally.removed = len(gone)


def _delete(connection: Connection, layout: Layout, row: Row) -> None:
    names = [column.name for column in layout.columns if column.name in layout.key]
    where = " and ".join(f"{quoted(name)} = %s" for name in names)
    connection.exec_driver_sql(f"delete from {layout.quoted} where {where}", layout.key_of(row))


def _refuse(conflicts: Sequence[str]) -> None:
    if conflicts:
        raise BoxError(
            f"{len(conflicts)} rows over there are not as the last migration left them",
            why="\n".join(conflicts[:8]) + ("\n…" if len(conflicts) > 8 else ""),
            fix="undo these changes on one of the two sides, or migrate into an empty database",
            code=ExitCode.CHECK_FAILED,
        )


def _advance(connection: Connection, layout: Layout) -> None:
    """Let the numbers that the server gives out go on after the largest one copied."""
    for name in layout.generated:
        sequence = connection.exec_driver_sql(
            "select pg_get_serial_sequence(%s, %s)", (layout.quoted, name)
        ).scalar_one()
        if sequence is not None:
            largest = f"(select max({quoted(name)}) from {layout.quoted})"
            connection.exec_driver_sql(
                f"select setval('{sequence}', greatest(last_value, {largest}),"
                f" is_called or coalesce({largest} >= last_value, false)) from {sequence}"
            )


def _compared(sides: Sides, layout: Layout, tally: _Tally) -> Table:
    here, there = _sums(sides, layout, own=tally.own > 0)
    if here != there:
        raise BoxError(
            f"table {layout.name} is not the same over there",
            why=f"here {here.rows} rows, checksum {here.text}; there {there.rows}, {there.text}",
            fix="stop whoever writes to the database, then run the same command again",
            code=ExitCode.CHECK_FAILED,
        )
    return Table(layout.name, here.rows, here.text, tally.written, tally.removed, tally.own)


def _sums(sides: Sides, layout: Layout, own: bool) -> tuple[Checksum, Checksum]:
    """The checksums of both sides; `own`: there are rows of the cluster's, which do not count."""
    here, there = Checksum(layout.columns), Checksum(layout.columns)
    for batch in layout.rows(sides.source):
        here.add(batch)
    with sides.target.connect() as connection:
        for batch in _there(connection, layout):
            there.add(_ours(sides, layout, batch) if own else batch)
    return here, there


def strange(sides: Sides) -> bool:
    """Whether the tables over there hold a row that is neither here now nor was the last time."""
    with sides.target.connect() as connection:
        return any(
            not _in(sides.source, layout, row) and not _in(sides.base, layout, row)
            for layout in layouts(sides.source, connection)
            for batch in _there(connection, layout)
            for row in batch
        )


def _ours(sides: Sides, layout: Layout, batch: Iterable[Row]) -> list[Row]:
    return [row for row in batch if _by_key(sides.source, layout, layout.key_of(row)) is not None]
