"""Files that appear whole or not at all: written beside their place, flushed to the disk, renamed."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.datasets import writes
from boxplat.core.disk import flush
from boxplat.core.errors import BoxError

if TYPE_CHECKING:
    import pyarrow as pa

# Rows per row group: small enough for a time range to leave most of a file unread.
ROW_GROUP = 122_880


@contextmanager
def published(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; renamed to it on a clean exit, else removed. Makes the folder if need be.

    Raises:
        BoxError: the disk is full, or refuses for another reason. Nothing has changed.
    """
    try:
        with _beside(path) as temporary:
            yield temporary
    except OSError as error:
        raise BoxError(
            f"cannot write {path}",
            why=error.strerror or str(error),
            fix=f"make room, or correct the permissions, in {path.parent}; then repeat the command",
        ) from error


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        flush(path.parent.parent)
    # Hidden, and not named like Parquet: no reader takes it for data.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
        writes(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_table(table: pa.Table, path: Path) -> int:
    """Write a table as one Parquet file; returns its rows."""
    import pyarrow.parquet as pq

    with published(path) as temporary:
        pq.write_table(table, temporary, row_group_size=ROW_GROUP)
    return int(table.num_rows)


def write_batches(batches: pa.RecordBatchReader, path: Path, footer: Mapping[bytes, bytes] | None = None) -> int:
    """Write a stream as one Parquet file in full row groups, holding one of them in memory; returns its rows.

    Args:
        footer: key-value metadata of the file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, waiting, pending = 0, 0, list[pa.RecordBatch]()
    schema = batches.schema.with_metadata({**(batches.schema.metadata or {}), **(footer or {})})

    with published(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for batch in batches:
            pending.append(batch)
            waiting += batch.num_rows
            if waiting >= ROW_GROUP:
                writer.write_table(pa.Table.from_batches(pending, batches.schema).cast(schema))
                rows, waiting, pending = rows + waiting, 0, []
        if pending:
            writer.write_table(pa.Table.from_batches(pending, batches.schema).cast(schema))
        # The file is complete only after this; `published` renames it afterwards.
        writer.close()
    return rows + waiting
