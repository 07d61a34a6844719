"""Columns to their form on disk and back: numbers of fixed width, or runs of bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.rows import heap, nested, values
from boxplat.features.rows.kinds import FIXED, Kind

# A column of N values: an Arrow array, a NumPy array or Python values.
Column: TypeAlias = Any


def _no_ints() -> heap.Ints:
    return np.empty(0, np.int64)


def _no_bytes() -> heap.Bytes:
    return np.empty(0, np.uint8)


@dataclass
class Encoded:
    """A column in its form on disk.

    Attributes:
        valid: bool [N], False where the value is null; None when none is.
        numbers: [N], of the kind's dtype; None for values in the heap.
        starts, lengths, heap: where each value's bytes are; empty for numbers.
    """

    valid: np.ndarray[tuple[int], np.dtype[np.bool_]] | None
    numbers: np.ndarray[tuple[int], np.dtype[Any]] | None = None
    starts: heap.Ints = field(default_factory=_no_ints)
    lengths: heap.Ints = field(default_factory=_no_ints)
    heap: heap.Bytes = field(default_factory=_no_bytes)


def encode(kind: Kind, column: Column, where: str) -> Encoded:
    """A column as it is stored.

    Args:
        kind: the declared type.
        column: N values; None is null, NaN is not. For maps, structs, nested lists and zoned times an Arrow binary
            column is taken for what `values.pack` has written.
        where: the view and the field, for errors.

    Raises:
        BoxError: a value that the declared type cannot hold exactly (doubles are rounded to a declared FLOAT).
    """
    try:
        if kind.family == "fixed":
            return _encode_fixed(kind, as_arrow(column), where)
        if kind.family in ("text", "binary"):
            return _encode_bytes(kind, column, where)
        return _encode_listed(kind, column)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, ArithmeticError) as error:
        raise refused(kind, where, str(error)) from error


def refused(kind: Kind, where: str, why: str) -> BoxError:
    """The error for a value that a field cannot hold."""
    return BoxError(
        f"{where} cannot hold a value as {kind.name}",
        why=why,
        fix="change the column, or the type declared in the feature view, then: box features apply",
        code=ExitCode.USAGE,
    )


def as_arrow(column: Column, type_: pa.DataType | None = None) -> pa.Array:
    """One Arrow array; dictionaries are decoded, chunks joined."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if not isinstance(column, pa.Array):
        column = pa.array(column, type=type_)
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return column


def _validity(array: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.bool_]] | None:
    return np.asarray(array.is_valid()) if array.null_count else None


def _encode_fixed(kind: Kind, array: pa.Array, where: str) -> Encoded:
    valid = _validity(array)
    if pa.types.is_null(array.type):
        return Encoded(np.zeros(len(array), bool), np.zeros(len(array), kind.dtype))
    if kind.element == "UNIX_TIMESTAMP":
        numbers = _timestamps(array)
    elif kind.element in ("INT32", "INT64"):
        numbers = _integers(array, FIXED[kind.element][1])
    elif kind.element == "BOOL":
        numbers = array if pa.types.is_boolean(array.type) else _booleans(array)
    else:
        numbers = _floats(array, FIXED[kind.element][1])
    return Encoded(valid, _plain(numbers, kind.dtype))


def _plain(array: pa.Array, dtype: np.dtype[Any]) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """The values as NumPy, zero where null."""
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return np.asarray(array.to_numpy(zero_copy_only=False)).astype(dtype, copy=False)


def _integers(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if pa.types.is_boolean(array.type) or pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        raise TypeError(f"the column holds {array.type}")
    return array if array.type == type_ else array.cast(type_)


def _booleans(array: pa.Array) -> pa.Array:
    whole = _integers(array, pa.int64())
    odd = pc.filter(whole, pc.or_(pc.less(whole, 0), pc.greater(whole, 1)))
    if len(odd):
        raise ValueError(f"{odd[0]} is neither true nor false")
    return whole.cast(pa.bool_())


def _floats(array: pa.Array, type_: pa.DataType) -> pa.Array:
    if array.type == type_:
        return array
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_decimal(array.type)):
        raise TypeError(f"the column holds {array.type}")
    out = array.cast(type_, safe=not pa.types.is_floating(array.type))
    too_large = pc.and_(pc.is_inf(out), pc.is_finite(array.cast(pa.float64())))
    if pc.any(too_large).as_py():
        raise ValueError(f"{pc.filter(array, too_large)[0]} is too large for {type_}")
    return out


def _timestamps(array: pa.Array) -> pa.Array:
    """Microseconds since the epoch as int64. Whole numbers are seconds, as in Feast; nanoseconds are cut."""
    type_ = array.type
    if pa.types.is_integer(type_):
        return pc.multiply_checked(array.cast(pa.int64()), 1_000_000)
    if pa.types.is_date(type_):
        return array.cast(pa.timestamp("us")).cast(pa.int64())
    if not pa.types.is_timestamp(type_):
        raise TypeError(f"the column holds {type_}")
    if type_.unit == "ns":
        array = pc.floor_temporal(array.cast(pa.timestamp("ns")), unit="microsecond")
    return array.cast(pa.timestamp("us", tz=array.type.tz)).cast(pa.int64())


def event_times(column: Column, where: str) -> tuple[heap.Ints, np.ndarray[tuple[int], np.dtype[np.bool_]] | None]:
    """Microseconds since the epoch and which are given; ISO text is read, naive times are UTC.

    Raises:
        BoxError: the column holds no times.
    """
    array = as_arrow(column)
    try:
        if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
            array = array.cast(pa.timestamp("us", tz="UTC"))
        encoded = _encode_fixed(Kind("UNIX_TIMESTAMP", "fixed", "UNIX_TIMESTAMP"), array, where)
    except (pa.ArrowException, ValueError, TypeError) as error:
        raise BoxError(
            f"{where} holds no times",
            why=str(error),
            fix="give timestamps (microseconds, UTC or with a zone) in this column",
            code=ExitCode.USAGE,
        ) from error
    assert encoded.numbers is not None
    return encoded.numbers, encoded.valid


def _encode_bytes(kind: Kind, column: Column, where: str) -> Encoded:
    if kind.family == "text":
        array = nested.texts(kind, column)
        array = array.cast(pa.large_string(), safe=True)
        if kind.name not in ("STRING", "JSON"):
            nested.check_texts(kind, array)
    else:
        array = as_arrow(column).cast(pa.large_binary())
    starts, lengths, raw = heap.from_arrow(array)
    return Encoded(_validity(array), None, starts, lengths, raw)


def _encode_listed(kind: Kind, column: Column) -> Encoded:
    if kind.family == "numbers" and not kind.is_set and isinstance(column, pa.Array | pa.ChunkedArray):
        array = as_arrow(column)
        lists = pa.types.is_list(array.type) or pa.types.is_large_list(array.type)
        if lists and not array.flatten().null_count:
            return _encode_numbers(kind, array)
    if kind.family in ("nested", "zoned") and isinstance(column, pa.Array | pa.ChunkedArray):
        array = as_arrow(column)
        if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
            return _encode_packed(array.cast(pa.large_binary()))
    items = nested.pythons(column)
    valid = np.fromiter((item is not None for item in items), bool, len(items))
    packed = [b"" if item is None else nested.pack_item(kind, item) for item in items]
    lengths = np.fromiter(map(len, packed), np.int64, len(packed))
    raw = np.frombuffer(b"".join(packed), np.uint8)
    return Encoded(None if valid.all() else valid, None, heap.offsets_of(lengths)[:-1], lengths, raw)


def _encode_packed(array: pa.Array) -> Encoded:
    """Values that `values.pack` has written already."""
    for item in array.to_pylist():
        if item is not None:
            values.unpack(item)
    starts, lengths, raw = heap.from_arrow(array)
    return Encoded(_validity(array), None, starts, lengths, raw)


def _encode_numbers(kind: Kind, array: pa.Array) -> Encoded:
    """Lists of numbers without nulls among them, without Python per value: the numbers, then a zero byte."""
    element = Kind(kind.element, "fixed", kind.element)
    flat = _encode_fixed(element, array.flatten(), kind.name).numbers
    assert flat is not None
    counts = np.asarray(pc.fill_null(pc.list_value_length(array), 0)).astype(np.int64)
    sizes = counts * kind.dtype.itemsize
    starts = heap.offsets_of(sizes + 1)
    raw = np.zeros(int(starts[-1]), np.uint8)
    heap.scatter(raw, starts[:-1], sizes, flat.view(np.uint8))
    return Encoded(_validity(array), None, starts[:-1], sizes + 1, raw)
