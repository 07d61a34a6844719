"""Numbers and times straight from Parquet pages, where they lie there as in memory: plain, without nulls, Snappy or no
compression. That is how DuckDB writes columns of many distinct values, and they need no more than decompression.

Source: https://github.com/apache/parquet-format (README, Encodings.md: PLAIN).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import cramjam
import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from boxplat.features.join import thrift

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_DATA_PAGE, _PLAIN = 0, 0
# Room before the first page's values for their levels: one run, where nothing is null.
_LEVELS = 64
_UNITS = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


class Chunk(NamedTuple):
    """A column of one row group: where its pages are, and how many values they hold; `plain` if they may be plain."""

    start: int
    size: int
    values: int
    compression: str
    plain: bool


class Leaf(NamedTuple):
    """A column of a file, and whether its values have definition levels before them."""

    chunks: tuple[Chunk, ...]
    levels: bool


class _Page(NamedTuple):
    """Where a page's bytes are in its column chunk, how many they become, and of how many values."""

    start: int
    size: int
    whole: int
    values: int


def leaf(metadata: pq.FileMetaData, at: int, kind: pa.DataType) -> Leaf | None:
    """A file's leaf column number `at`; None where a plain value is not, byte for byte, one of Arrow's of this type."""
    column = metadata.schema.column(at)
    if not _as_in_memory(column, kind):
        return None
    chunks = [metadata.row_group(group).column(at) for group in range(metadata.num_row_groups)]
    return Leaf(tuple(map(_chunk, chunks)), column.max_definition_level > 0)


def plain(path: str, column: Leaf, groups: Sequence[int], kind: pa.DataType) -> pa.Array | None:
    """A column of some row groups; None where only a full reader understands it.

    Raises:
        OSError: the file cannot be read, or a page is damaged.
    """
    chunks = [column.chunks[group] for group in groups]
    if not all(chunk.plain for chunk in chunks):
        return None
    width = kind.bit_width // 8
    rows = sum(chunk.values for chunk in chunks)
    # From Arrow's pool, which keeps what is freed for the next column.
    block = np.frombuffer(pa.allocate_buffer(_LEVELS + rows * width), np.uint8)
    with open(path, "rb", buffering=0) as file:
        end = len(block)
        for chunk in reversed(chunks):
            raw = os.pread(file.fileno(), chunk.size, chunk.start)
            begin = end - chunk.values * width
            if not _filled(block[:end], begin, raw, chunk, column.levels, width):
                return None
            end = begin
    return pa.Array.from_buffers(kind, rows, [None, pa.py_buffer(block[_LEVELS:])])


def _as_in_memory(column: Any, kind: pa.DataType) -> bool:
    """Whether a plain value of this column is, byte for byte, one of Arrow's."""
    if column.max_repetition_level or column.max_definition_level > 1:
        return False
    if pt.is_timestamp(kind):
        return column.physical_type == "INT64" and _UNITS.get(kind.unit, "-") in str(column.logical_type)
    numbers = {pa.int64(): "INT64", pa.int32(): "INT32", pa.float64(): "DOUBLE", pa.float32(): "FLOAT"}
    return bool(numbers.get(kind) == column.physical_type)


def _chunk(found: Any) -> Chunk:
    simple = (
        not found.has_dictionary_page
        and found.compression in ("SNAPPY", "UNCOMPRESSED")
        and set(found.encodings) <= {"PLAIN", "RLE", "BIT_PACKED"}
    )
    return Chunk(found.data_page_offset, found.total_compressed_size, found.num_values, found.compression, simple)


def _filled(block: np.ndarray, begin: int, raw: bytes, chunk: Chunk, levels: bool, width: int) -> bool:
    """Put a column chunk's values at the end of `block`, from `begin` on; False: this takes a full reader.

    Page by page from the last one: a page's levels overwrite what lies before its values, which comes later.
    """
    pages = _pages(raw, chunk.values)
    if pages is None:
        return False
    end = len(block)
    for page in reversed(pages):
        extra = page.whole - page.values * width
        # With a null there would be fewer values than rows, and so fewer bytes.
        if not 0 <= extra <= _LEVELS or (extra > 0) != levels:
            return False
        into = block[end - page.whole : end]
        body = memoryview(raw)[page.start : page.start + page.size]
        _decompress(chunk.compression, body, into)
        if levels and int.from_bytes(into[:4].tobytes(), "little") + 4 != extra:
            return False
        end -= page.values * width
    return end == begin


def _pages(raw: bytes, values: int) -> list[_Page] | None:
    """The pages of a column chunk with so many values; None if one is of another kind than plain data."""
    found: list[_Page] = []
    at = 0
    try:
        while values > 0:
            header, start = thrift.struct(raw, at)
            if header[1] != _DATA_PAGE or header[5][2] != _PLAIN:
                return None
            found.append(_Page(start, header[3], header[2], header[5][1]))
            values -= header[5][1]
            at = start + header[3]
    except (KeyError, IndexError, ValueError, TypeError):
        return None
    return found if values == 0 and at <= len(raw) else None


def _decompress(compression: str, body: memoryview, into: np.ndarray) -> None:
    if compression == "UNCOMPRESSED":
        into[:] = np.frombuffer(body, np.uint8)
        return
    try:
        written = cramjam.snappy.decompress_raw_into(body, into.data)
    except cramjam.DecompressionError as error:
        raise OSError(f"a page is damaged: {error}") from error
    if written != len(into):
        raise OSError("a page is shorter than it says")
