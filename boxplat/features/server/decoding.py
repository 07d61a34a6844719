"""Values as JSON has them, in the types that features are declared with: the reverse of `encoding`."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any


def typed(name: str, values: list[Any], type_: str) -> list[Any]:
    """JSON's values of one column in the type that is declared; what fits no type is left for the store to refuse.

    Raises:
        ValueError: text that is no value of the type.
    """
    element = type_.removesuffix("_LIST").removesuffix("_SET")
    convert = _FROM_JSON.get(element)
    if convert is None:
        return values
    try:
        if element == type_:
            return [None if value is None else convert(value) for value in values]
        return [_each(convert, value) if isinstance(value, list) else value for value in values]
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} is declared as {type_}: {error}") from error


def _each(convert: Callable[[Any], Any], items: list[Any]) -> list[Any]:
    return [None if item is None else convert(item) for item in items]


def _whole(value: Any) -> Any:
    """JavaScript sends whole numbers beyond 2^53 as text."""
    return int(value) if isinstance(value, str) else value


def _number(value: Any) -> Any:
    """JSON has no NaN and no infinity: they come as the texts that answers have for them."""
    if value in ("NaN", "Infinity", "-Infinity"):
        return float(value)
    return value


def _moment(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    found = datetime.fromisoformat(value)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _bytes(value: Any) -> bytes:
    try:
        return b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError(f"{value!r:.40} is not base64") from error


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "INT32": _whole,
    "INT64": _whole,
    "FLOAT": _number,
    "DOUBLE": _number,
    "UNIX_TIMESTAMP": _moment,
    "BYTES": _bytes,
    "PDF_BYTES": _bytes,
    "IMAGE_BYTES": _bytes,
}
