"""A Parquet file that appears under its name only when it is whole."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.types as pt

from boxplat.core.datasets import writes
from boxplat.core.disk import flush
from boxplat.features.join.refusals import no_space, unwritable

_GROUP_ROWS = 2**18


def to_parquet(schema: pa.Schema, chunks: Iterable[pa.Table], path: Path) -> int:
    """Write tables one after another, and count their rows.

    Raises:
        BoxError: a full disk or a folder that cannot be written (exit code 1); there is then no new file.
    """
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    try:
        rows = _written(schema, chunks, scratch)
        os.replace(scratch, path)
        flush(path.parent)
        writes(path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            raise no_space(str(path.parent), error) from error
        raise unwritable(str(path), error) from error
    finally:
        scratch.unlink(missing_ok=True)
    return rows


def _written(schema: pa.Schema, chunks: Iterable[pa.Table], scratch: Path) -> int:
    import pyarrow.parquet as pq

    rows = 0
    # Numbers rarely repeat enough for a dictionary: looking for one takes longer than all the rest.
    coded = [field.name for field in schema if not (pt.is_primitive(field.type) or pt.is_decimal(field.type))]
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with pq.ParquetWriter(file, schema, use_dictionary=coded) as writer:
            for chunk in chunks:
                writer.write_table(chunk, row_group_size=_GROUP_ROWS)
                rows += chunk.num_rows
        file.flush()
        os.fsync(file.fileno())
    return rows
