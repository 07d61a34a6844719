"""What a feature repository declares, in plain values: enough to read and write features without importing Feast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

# Feast's FieldStatus by its number.
STATUSES = ("INVALID", "PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE")


@dataclass(frozen=True)
class Field:
    """A key or a feature. `type` is the name of a Feast `ValueType`, such as `INT64` or `DOUBLE_LIST`."""

    name: str
    type: str


@dataclass(frozen=True)
class View:
    """A feature view: its join keys (none for a view without entities), its features and its life time in
    microseconds (None: for ever)."""

    name: str
    keys: tuple[Field, ...]
    fields: tuple[Field, ...]
    ttl_us: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The view as JSON values; `from_json` is the way back."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: Mapping[str, Any]) -> Self:
        """Raises KeyError for what is missing."""
        return cls(
            name=text["name"],
            keys=tuple(Field(**key) for key in text["keys"]),
            fields=tuple(Field(**field) for field in text["fields"]),
            ttl_us=text["ttl_us"],
        )
