"""What each Feast `ValueType` is on disk: a number of fixed width, or bytes in a heap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from boxplat.core.errors import BoxError, ExitCode

# Numbers that live in the record itself: the NumPy form and the Arrow form.
FIXED = {
    "INT32": ("<i4", pa.int32()),
    "INT64": ("<i8", pa.int64()),
    "DOUBLE": ("<f8", pa.float64()),
    "FLOAT": ("<f4", pa.float32()),
    "BOOL": ("|b1", pa.bool_()),
    "UNIX_TIMESTAMP": ("<i8", pa.timestamp("us", tz="UTC")),
}
# Values that are one run of bytes as they are.
TEXT = {
    "STRING": pa.string(),
    "JSON": pa.large_string(),
    "UUID": pa.string(),
    "TIME_UUID": pa.string(),
    "DECIMAL": pa.string(),
}
BINARY = ("BYTES", "PDF_BYTES", "IMAGE_BYTES")
NESTED = ("MAP", "MAP_LIST", "SCALAR_MAP", "STRUCT", "STRUCT_LIST", "VALUE_LIST", "VALUE_SET")
# A single key of one of these is sorted by its value; every other key by the hash of its bytes.
INTEGER_KEYS = ("INT32", "INT64", "UNIX_TIMESTAMP", "BOOL")


@dataclass(frozen=True)
class Kind:
    """A Feast value type taken apart.

    Attributes:
        name: the `ValueType`, such as `INT64_LIST`.
        family: `fixed`, `text`, `binary`, `numbers` (a list of numbers), `texts` (a list of text or bytes), `zoned` or
            `nested`.
        element: the type of a list's or set's elements; the type itself for scalars.
        is_set: whether Python is given a set.
    """

    name: str
    family: str
    element: str
    is_set: bool = False

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The NumPy form of a fixed value, or of the elements of a list of numbers."""
        return np.dtype(FIXED[self.element][0])

    @property
    def arrow(self) -> pa.DataType | None:
        """The Arrow type of answers; None for nested values, whose type depends on what was stored."""
        if self.family == "nested":
            return None
        element = element_type(self.element)
        return element if self.family in ("fixed", "text", "binary", "zoned") else pa.list_(element)


def element_type(name: str) -> pa.DataType:
    """The Arrow type of one scalar `ValueType`."""
    if name in FIXED:
        return FIXED[name][1]
    if name == "ZONED_TIMESTAMP":
        return pa.timestamp("us", tz="UTC")
    return TEXT.get(name, pa.binary())


def kind_of(type_: str) -> Kind:
    """The parts of a `ValueType`'s name.

    Raises:
        BoxError: there is no such type.
    """
    if type_ in NESTED:
        return Kind(type_, "nested", type_)
    if type_ == "ZONED_TIMESTAMP":
        return Kind(type_, "zoned", type_)
    element, _, suffix = type_.rpartition("_")
    if suffix not in ("LIST", "SET") or not element:
        element, suffix = type_, ""
    family = _family(element)
    if family is None:
        raise BoxError(
            f"a field cannot have the type {type_!r}",
            why="it is no value type of Feast 0.67 that can be stored",
            fix="declare the field with a type of feast.types, then: box features apply",
            code=ExitCode.USAGE,
        )
    if not suffix:
        return Kind(type_, family, element)
    return Kind(type_, "numbers" if family == "fixed" else "texts", element, suffix == "SET")


def _family(element: str) -> str | None:
    if element in FIXED:
        return "fixed"
    if element in TEXT:
        return "text"
    return "binary" if element in BINARY else None
