"""Feast's `Value` messages to columns and back, exactly. Imports Feast."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pyarrow as pa
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import (
    NULL_TIMESTAMP_INT_VALUE,
    VALUE_TYPE_TO_PROTO_VALUE_MAP,
    feast_value_type_to_python_type,
    python_values_to_proto_values,
)
from feast.value_type import ValueType

from boxplat.features.rows.kinds import Kind, kind_of

_SECOND = 1_000_000
_NO_TIME = int(NULL_TIMESTAMP_INT_VALUE)
# What Feast puts for a null inside a list, which its messages cannot hold.
_EMPTY: dict[str, Any] = {"BOOL": False, "FLOAT": 0.0, "DOUBLE": 0.0, "INT32": 0, "INT64": 0, "BYTES": b""}
_FIELDS = {kind.name: name for kind, name in VALUE_TYPE_TO_PROTO_VALUE_MAP.items()}
_FIELDS |= {"PDF_BYTES": "bytes_val", "IMAGE_BYTES": "bytes_val"}


def column(values: Iterable[Value | None], type_: str) -> pa.Array | list[Any]:
    """Messages as a column of the type that the rows are kept in: Arrow, or Python values for nested types.

    Args:
        type_: name of the field's declared `ValueType`.

    Raises:
        pa.ArrowException, OverflowError, ValueError, TypeError: a value that the type cannot hold.
    """
    kind = kind_of(type_)
    if kind.family in ("nested", "zoned"):
        return [None if value is None else feast_value_type_to_python_type(value) for value in values]
    payloads = [_payload(value) for value in values]
    if kind.element == "UNIX_TIMESTAMP":
        payloads = [_microseconds(payload) for payload in payloads]
    return pa.array(payloads, kind.arrow)


def plain(value: Value | None) -> Any:
    """The Python value of a key's message, None for a message without one."""
    return None if value is None else _payload(value)


def messages(values: Sequence[Any], type_: str) -> list[Value]:
    """Messages of values as `Rows.arrow(field).to_pylist()` gives them, or `Rows.python` for nested types."""
    kind = kind_of(type_)
    if kind.family in ("nested", "zoned"):
        return list(python_values_to_proto_values(list(values), ValueType[type_]))
    field, empty, one = _FIELDS[type_], Value(), _scalar(kind)
    if kind.family in ("numbers", "texts"):
        none = _EMPTY.get(kind.element, _NO_TIME if kind.element == "UNIX_TIMESTAMP" else "")
        return [empty if value is None else _collection(field, value, one, none) for value in values]
    return [empty if value is None else Value(**{field: one(value) if one else value}) for value in values]


def _payload(value: Value | None) -> Any:
    name = value.WhichOneof("val") if value is not None else None
    if value is None or name is None or name == "null_val":
        return None
    found = getattr(value, name)
    return list(found.val) if name.endswith(("_list_val", "_set_val")) else found


def _microseconds(seconds: Any) -> Any:
    if isinstance(seconds, list):
        return [_microseconds(element) for element in seconds]
    return None if seconds is None or seconds == _NO_TIME else seconds * _SECOND


def _scalar(kind: Kind) -> Callable[[Any], Any] | None:
    return (lambda moment: int(moment.timestamp())) if kind.element == "UNIX_TIMESTAMP" else None


def _collection(field: str, elements: Iterable[Any], one: Callable[[Any], Any] | None, none: Any) -> Value:
    value = Value()
    inner = getattr(value, field)
    inner.SetInParent()
    inner.val.extend([none if element is None else one(element) if one else element for element in elements])
    return value
