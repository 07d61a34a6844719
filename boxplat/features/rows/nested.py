"""Lists, sets, maps and texts between Python and their bytes.

A list of numbers is its packed numbers and a zero byte, or tagged values (`values.py`) and a one byte when some
element is null; every other collection is tagged values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow as pa

from boxplat.features.rows import values
from boxplat.features.rows.kinds import Kind


def pythons(column: Any) -> list[Any]:
    """A column's values as Python objects; Arrow maps become dicts."""
    if isinstance(column, pa.Array | pa.ChunkedArray):
        return list(column.to_pylist(maps_as_pydicts="strict"))
    return list(column)


def texts(kind: Kind, column: Any) -> pa.Array:
    """A column of text values as Arrow strings, other classes written out exactly."""
    from boxplat.features.rows.codecs import as_arrow

    if isinstance(column, pa.Array | pa.ChunkedArray):
        array = as_arrow(column)
        stringy = pa.types.is_string(array.type) or pa.types.is_large_string(array.type)
        if stringy or pa.types.is_null(array.type) or array.type == pa.string_view():
            return array if kind.name != "JSON" else _checked_json(array)
        if kind.name == "DECIMAL" and (pa.types.is_decimal(array.type) or pa.types.is_integer(array.type)):
            return array.cast(pa.string())
    items = pythons(column)
    write = _TEXT_WRITERS[kind.name]
    return pa.array([None if item is None else write(item) for item in items], pa.large_string())


def _checked_json(array: pa.Array) -> pa.Array:
    for item in array.to_pylist():
        if item is not None:
            json.loads(item)
    return array


def check_texts(kind: Kind, array: pa.Array) -> None:
    """Raises ValueError or ArithmeticError for the first text that is no UUID or no decimal number."""
    parse: Callable[[str], object] = Decimal if kind.name == "DECIMAL" else UUID
    for item in array.to_pylist():
        if item is not None:
            try:
                parse(item)
            except (ValueError, ArithmeticError) as error:
                raise ValueError(f"{item!r} is no {kind.name}") from error


def _text(item: Any) -> str:
    if not isinstance(item, str):
        raise TypeError(f"{item!r:.60} is a {type(item).__name__}, not text")
    return str(item)


def _json_text(item: Any) -> str:
    if isinstance(item, str):
        json.loads(item)
        return item
    return json.dumps(item)


def _decimal_text(item: Any) -> str:
    if isinstance(item, float | bool):
        raise TypeError(f"{item!r} is a {type(item).__name__}: give a decimal.Decimal")
    return str(item)


def _uuid_text(item: Any) -> str:
    return str(UUID(bytes=item)) if isinstance(item, bytes) else str(item)


_TEXT_WRITERS: dict[str, Callable[[Any], str]] = {
    "STRING": _text,
    "JSON": _json_text,
    "DECIMAL": _decimal_text,
    "UUID": _uuid_text,
    "TIME_UUID": _uuid_text,
}


def json_or_text(text: str) -> Any:
    """JSON parsed; what is no JSON stays text, as in Feast."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


TEXT_READERS: dict[str, Callable[[str], Any]] = {
    "JSON": json_or_text,
    "DECIMAL": Decimal,
    "UUID": UUID,
    "TIME_UUID": UUID,
}


def pack_item(kind: Kind, item: Any) -> bytes:
    """One value that is no scalar, as its bytes."""
    if kind.family == "zoned":
        if not isinstance(item, datetime):
            raise TypeError(f"{item!r:.60} is no datetime")
        return values.pack(item)
    if isinstance(item, np.ndarray):
        item = item.tolist()
    if kind.family == "nested":
        return values.pack(_shaped(kind, item))
    if isinstance(item, str | bytes | dict) or not isinstance(item, Iterable):
        raise TypeError(f"{item!r:.60} is no list")
    elements = list(dict.fromkeys(item)) if kind.is_set else list(item)
    if kind.family == "texts":
        return values.pack([_element_text(kind, element) for element in elements])
    numbers = [_number(kind, element) for element in elements]
    if any(number is None for number in numbers):
        return values.pack(numbers) + b"\x01"
    return np.array(numbers, kind.dtype).tobytes() + b"\x00"


def _shaped(kind: Kind, item: Any) -> Any:
    wanted = list | tuple | set | frozenset if kind.name.endswith(("LIST", "SET")) else dict
    if isinstance(item, str):
        item = json.loads(item)
    if not isinstance(item, wanted):
        raise TypeError(f"{item!r:.60} is a {type(item).__name__}")
    return item


def _element_text(kind: Kind, element: Any) -> Any:
    if element is None:
        return None
    if kind.element in _TEXT_WRITERS:
        return _TEXT_WRITERS[kind.element](element)
    return element.encode() if isinstance(element, str) else bytes(element)


def _number(kind: Kind, element: Any) -> Any:
    if element is None:
        return None
    if kind.element == "UNIX_TIMESTAMP":
        return _moment_us(element)
    if isinstance(element, np.generic):
        element = element.item()
    if kind.element in ("DOUBLE", "FLOAT"):
        return float(element)
    if kind.element == "BOOL":
        if element not in (0, 1):
            raise ValueError(f"{element!r} is neither true nor false")
        return bool(element)
    if int(element) != element or isinstance(element, bool | str):
        raise ValueError(f"{element!r} is no whole number")
    half = 1 << (8 * kind.dtype.itemsize - 1)
    if not -half <= element < half:
        raise ValueError(f"{element} is too large for {kind.element}")
    return int(element)


def _moment_us(element: Any) -> int:
    if isinstance(element, np.datetime64):
        return int(element.astype("datetime64[us]").astype(np.int64))
    if isinstance(element, datetime):
        return values.microseconds(element)
    if isinstance(element, date):
        return values.microseconds(datetime(element.year, element.month, element.day))
    return int(element) * 1_000_000


def unpack_item(kind: Kind, raw: bytes) -> Any:
    """What `pack_item` was given, as Feast's `to_dict` would give it."""
    if kind.family in ("nested", "zoned"):
        return values.unpack(raw)
    if kind.family == "texts":
        reader = TEXT_READERS.get(kind.element)
        items = values.unpack(raw)
        if reader is not None:
            items = [None if item is None else reader(item) for item in items]
    elif raw[-1] == 1:
        items = values.unpack(raw[:-1])
    else:
        items = np.frombuffer(raw, kind.dtype, (len(raw) - 1) // kind.dtype.itemsize).tolist()
    if kind.element == "UNIX_TIMESTAMP":
        items = moments(items)
    return set(items) if kind.is_set else items


def decoder(kind: Kind) -> Callable[[bytes], Any] | None:
    """What makes the Python value of a value's bytes; None where it is the bytes."""
    if kind.family == "binary":
        return None
    if kind.family == "text":
        reader = TEXT_READERS.get(kind.element)
        return bytes.decode if reader is None else lambda raw: reader(raw.decode())
    return partial(unpack_item, kind)


def listed(kind: Kind, raw: pa.Array) -> list[Any]:
    """A column of text or binary values as Python values."""
    if kind.family == "binary":
        return list(raw.to_pylist())
    items: list[Any] = raw.cast(pa.large_string()).to_pylist()
    reader = TEXT_READERS.get(kind.element)
    return items if reader is None else [None if item is None else reader(item) for item in items]


def moments(items: Iterable[int | None]) -> list[datetime | None]:
    """Microseconds since the epoch as moments."""
    return [None if item is None else values.moment_of(item) for item in items]


def arrow_items(kind: Kind, items: Sequence[Any]) -> pa.Array:
    """Unpacked values as Arrow; nested ones with the type that Arrow infers, or as JSON text when it finds none."""
    if kind.family != "nested":
        plain = [list(item) if isinstance(item, set) else item for item in items]
        if kind.element in TEXT_READERS:
            write = _TEXT_WRITERS[kind.element]
            plain = [None if item is None else [_or_none(write, part) for part in item] for item in plain]
        return pa.array(plain, kind.arrow)
    return infer(kind, items)


def _or_none(write: Callable[[Any], str], part: Any) -> str | None:
    return None if part is None else write(part)


def infer(kind: Kind, items: Sequence[Any]) -> pa.Array:
    """Nested values with the narrowest Arrow type that holds all of them."""
    plain = [_plain(item) for item in items]
    try:
        if kind.name in ("MAP", "SCALAR_MAP"):
            pairs = [None if item is None else list(item.items()) for item in plain]
            return pa.array(pairs, _map_type(plain))
        if kind.name == "MAP_LIST":
            maps = [part for item in plain if item is not None for part in item]
            lists = [None if item is None else [list(part.items()) for part in item] for item in plain]
            return pa.array(lists, pa.list_(_map_type(maps)))
        return pa.array(plain)
    except (pa.ArrowException, OverflowError):
        texts = [None if item is None else json.dumps(_with_text_keys(item), default=str) for item in plain]
        return pa.array(texts, pa.large_string())


def _with_text_keys(item: Any) -> Any:
    if isinstance(item, dict):
        return {str(key): _with_text_keys(value) for key, value in item.items()}
    return [_with_text_keys(part) for part in item] if isinstance(item, list) else item


def _map_type(maps: Sequence[dict[Any, Any] | None]) -> pa.DataType:
    keys = pa.array([key for item in maps if item is not None for key in item])
    entries = pa.array([value for item in maps if item is not None for value in item.values()])
    text = pa.string()
    return pa.map_(*(text if pa.types.is_null(part.type) else part.type for part in (keys, entries)))


def _plain(item: Any) -> Any:
    """Sets as lists, all the way down."""
    if isinstance(item, dict):
        return {key: _plain(value) for key, value in item.items()}
    if isinstance(item, list | set):
        return [_plain(part) for part in item]
    return str(item) if isinstance(item, UUID) else item
