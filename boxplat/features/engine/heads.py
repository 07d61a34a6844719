"""Keys and times of rows: all that is needed to choose the newest ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.engine.latest import NO_CREATED, Int64s, winners
from boxplat.features.engine.plan import Plan
from boxplat.features.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Heads:
    """n rows without their features.

    Attributes:
        keys: the key's columns in the view's types, each of n values without nulls.
        event_us: int64 [n], microseconds since the epoch.
        created_us: int64 [n], `NO_CREATED` where there is none.
    """

    keys: tuple[pa.Array, ...]
    event_us: Int64s
    created_us: Int64s

    def __len__(self) -> int:
        return len(self.event_us)

    def newest(self) -> Int64s:
        """Positions of the newest row of each key."""
        return winners(self.keys, self.event_us, self.created_us)

    def take(self, rows: Int64s) -> Heads:
        """The rows at these positions."""
        if len(rows) == len(self) and _ascending(rows):
            return self
        return Heads(tuple(key.take(rows) for key in self.keys), self.event_us[rows], self.created_us[rows])


def heads_of(plan: Plan, table: pa.Table) -> Heads:
    """The first columns of a source's table: keys, event times and, where the plan has them, created times.

    Raises:
        BoxError: a key that is not of the view's type.
    """
    keys = tuple(_key(plan, field, _whole(table.column(index))) for index, field in enumerate(plan.view.keys))
    event = _whole(table.column(len(keys))).to_numpy(zero_copy_only=False)
    if plan.created is None:
        return Heads(keys, event, np.full(len(event), NO_CREATED))
    created = _whole(table.column(len(keys) + 1)).fill_null(NO_CREATED).to_numpy(zero_copy_only=False)
    return Heads(keys, event, created)


def joined(pieces: Sequence[Heads]) -> Heads:
    """All rows, one piece after the other."""
    import pyarrow as pa

    if len(pieces) == 1:
        return pieces[0]
    columns = zip(*(piece.keys for piece in pieces), strict=True)
    return Heads(
        tuple(pa.concat_arrays(column) for column in columns),
        np.concatenate([piece.event_us for piece in pieces]),
        np.concatenate([piece.created_us for piece in pieces]),
    )


def placed(column: pa.ChunkedArray, rows: Int64s) -> pa.Array:
    """The values at these positions."""
    whole = _whole(column)
    return whole if len(rows) == len(whole) and _ascending(rows) else whole.take(rows)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _ascending(rows: Int64s) -> bool:
    """Of n positions among n rows: whether they are all rows in order."""
    return bool((rows[1:] > rows[:-1]).all())


def _key(plan: Plan, field: Field, column: pa.Array) -> pa.Array:
    """The key in the view's type; what would change its value is refused."""
    import pyarrow as pa

    from boxplat.features.rows.kinds import kind_of

    wanted = kind_of(field.type).arrow
    if wanted is None or column.type == wanted:
        return column
    try:
        if _text(column.type) != _text(wanted):
            raise pa.ArrowInvalid(f"it holds {column.type} values")
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise BoxError(
            f"the key {field.name} of {plan.place} is no {field.type}",
            why=str(error),
            fix="declare the entity with the type that the source has, then: box features apply",
            code=ExitCode.USAGE,
        ) from error


def _text(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))
