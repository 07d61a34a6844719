"""Rows added to a source: one new part file for each call, nothing that exists is touched."""

from __future__ import annotations

import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import Limits, connect, is_remote
from boxplat.features.offline.delta import add_rows, is_delta
from boxplat.features.offline.files import parts_folder
from boxplat.features.offline.publish import write_table
from boxplat.features.offline.source import Source, look_up, path_of, schema

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.data_source import DataSource

_FIX = "give exactly the source's columns, in any order"


def append(source: DataSource, table: pa.Table, repo: Path | str | None, limits: Limits) -> Path:
    """Add rows to a source as a part file; durable and visible to every later read when this returns.

    A Delta table gets a new version by its own package.

    Args:
        table: exactly the source's columns, in any order; values are converted to its types where that is exact.
            Float64 values that a float32 column would round stay float64, and the source is read as float64 from then.

    Returns:
        The new file; for a Delta table its folder.

    Raises:
        BoxError: missing, unknown or unconvertible columns (exit code 2), or a source that takes no parts.
    """
    path = path_of(source, repo)
    with connect(limits) as con:
        found = look_up(source, repo, con)
        wanted = schema(found, con)
    if is_delta(source):
        return add_rows(path, _fitted(table, wanted, source.name))
    if not _takes_parts(path, found):
        raise BoxError(
            f"cannot add rows to the source {source.name}",
            why=f"{path} is no Parquet file and no folder of Parquet files on this machine without key=value folders",
            fix="give the view a FileSource with the path of a Parquet file or of a folder",
            code=ExitCode.USAGE,
        )
    fitted = _fitted(table, wanted, source.name)
    target = parts_folder(path) / part_name("part")
    write_table(fitted, target)
    return target


def part_name(kind: str) -> str:
    """A file name that no other has, in the order of time."""
    return f"{kind}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"


def _takes_parts(path: str, found: Source) -> bool:
    plain = not is_remote(path) and bool(found.listing.root) and "hive_partitioning=true" not in found.relation
    return plain and found.relation.startswith("read_parquet(")


def _fitted(table: pa.Table, wanted: pa.Schema, name: str) -> pa.Table:
    """The table in the source's column order and, where nothing is lost by it, types."""
    import pyarrow as pa

    missing = sorted(set(wanted.names) - set(table.column_names))
    unknown = sorted(set(table.column_names) - set(wanted.names))
    if missing or unknown:
        raise BoxError(
            f"the rows do not fit the source {name}",
            why=f"missing columns: {missing}, unknown columns: {unknown}",
            fix=_FIX,
            code=ExitCode.USAGE,
        )
    columns = list[pa.ChunkedArray]()
    for field in wanted:
        try:
            columns.append(_cast(table.column(field.name), field.type))
        except (pa.ArrowException, ValueError) as error:
            raise BoxError(
                f"column {field.name!r} does not fit the source {name}",
                why=f"{table.column(field.name).type} to {field.type}: {str(error).splitlines()[0]}",
                fix=_FIX + " and types",
                code=ExitCode.USAGE,
            ) from error
    return pa.table(columns, names=wanted.names)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Convert; times lose what the source cannot hold (Feast writes nanoseconds), nothing else loses anything."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind) and pa.types.is_timestamp(column.type):
        return column.cast(kind, safe=False)
    if pa.types.is_floating(kind) and pa.types.is_floating(column.type):
        return column.cast(kind, safe=False) if _fits(column, kind) else column
    return column.cast(kind)


def _fits(column: pa.ChunkedArray, kind: pa.DataType) -> bool:
    import pyarrow.compute as pc

    back = column.cast(kind, safe=False).cast(column.type)
    same = pc.or_(pc.equal(column, back), pc.is_nan(column))
    return bool(pc.all(same, min_count=0).as_py())
