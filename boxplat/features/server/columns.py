"""Rows as columns of JSON values and statuses, by the way that is quicker for their number."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from boxplat.features.rows.kinds import kind_of
from boxplat.features.rows.single import entity
from boxplat.features.server.encoding import Encode, members

if TYPE_CHECKING:
    from boxplat.features.rows import Rows

# Up to so many entities they are taken one by one.
FEW = 12

Column = tuple[str, bytes]


def columns(rows: Rows, types: tuple[str, ...], encoders: tuple[Encode, ...]) -> Iterator[Column]:
    """The values of each field, in the order of `rows.fields`, as members of a JSON list, and their statuses, a byte
    each.

    Args:
        types: the fields' `ValueType`s.
        encoders: how their values are sent.
    """
    count = len(rows)
    if count <= FEW:
        entities = [entity(rows, number) for number in range(count)]
        for at, encode in enumerate(encoders):
            values = [values[at] for values, _ in entities]
            yield members(values, encode), bytes([statuses[at] for _, statuses in entities])
    else:
        for name, type_, encode in zip(rows.fields, types, encoders, strict=True):
            yield members(_values(rows, name, type_), encode), rows.statuses(name).tobytes()


def _values(rows: Rows, name: str, type_: str) -> list[Any]:
    """Values as they are stored: UNIX_TIMESTAMP as int microseconds, DECIMAL, UUID and JSON as text, sets as lists."""
    if type_ == "UNIX_TIMESTAMP":
        us, valid = rows.numpy(name)
        known = zip(us.view("int64").tolist(), valid.tolist(), strict=True)
        return [value if ok else None for value, ok in known]
    kind = kind_of(type_)
    if kind.family in ("text", "texts") or kind.is_set:
        return list(rows.arrow(name).to_pylist())
    return rows.python(name)
