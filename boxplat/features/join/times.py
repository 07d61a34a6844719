"""Points in time as microseconds since the epoch, whatever type they come in; without a zone they are UTC."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

# Beyond these lie DuckDB's infinity and -infinity, which are no moments.
EARLIEST, LATEST = -(2**62), 2**62

_PER_SECOND = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}
_DAY = 86_400_000_000


def is_text(kind: pa.DataType) -> bool:
    """Whether times of this type have to be parsed."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_time(kind: pa.DataType) -> bool:
    """Whether a column of this type can hold times."""
    return bool(pt.is_timestamp(kind) or pt.is_date(kind) or is_text(kind))


def micros(column: str, kind: pa.DataType) -> str:
    """SQL for a time column (already quoted) as BIGINT microseconds; NULL for what is no moment."""
    if pt.is_timestamp(kind) and kind.unit == "ns":
        # A cast to microseconds would round, and there is none that keeps the zone; this rounds down.
        return f"(epoch_ns({column}) // 1000 - CAST(epoch_ns({column}) % 1000 < 0 AS BIGINT))"
    if pt.is_null(kind):
        return "CAST(NULL AS BIGINT)"
    return f"epoch_us(CAST({column} AS TIMESTAMPTZ))" if is_text(kind) else f"epoch_us({column})"


def to_micros(column: pa.Array | pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray | None]:
    """A timestamp or date column as int64 microseconds [N] (nanoseconds rounded down), and which rows hold a moment
    (None: all)."""
    kind = column.type
    values = pc.cast(column, pa.int32() if pt.is_date32(kind) else pa.int64())
    valid = None if values.null_count == 0 else pc.is_valid(values).to_numpy(zero_copy_only=False)
    if valid is not None:
        values = pc.fill_null(values, 0)
    raw = values.to_numpy() if isinstance(values, pa.ChunkedArray) else values.to_numpy(zero_copy_only=False)
    return _scaled(raw, kind), valid


def _scaled(raw: np.ndarray, kind: pa.DataType) -> np.ndarray:
    if pt.is_date(kind):
        return raw.astype(np.int64) * (_DAY if pt.is_date32(kind) else 1_000)
    times, over = _PER_SECOND[kind.unit]
    if over > 1:
        rounded: np.ndarray = np.floor_divide(raw, over)
        return rounded
    return raw if times == 1 else raw * times
