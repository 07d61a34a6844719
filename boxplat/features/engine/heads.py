"""Keys and times of rows: all that is needed to choose the newest ones."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def heads_of(plan: Plan, columns: Iterable[pa.ChunkedArray]) -> Heads:
    """The first columns of a source: keys, event times and, where the plan has them, created times.

    Raises:
        BoxError: a key that is not of the view's type.
    """
    rest = iter(columns)
    keys = tuple(_key(plan, field, _whole(next(rest))) for field in plan.view.keys)
    event = _whole(next(rest)).to_numpy(zero_copy_only=False)
    if plan.created is None:
        return Heads(keys, event, np.full(len(event), NO_CREATED))
    return Heads(keys, event, _whole(next(rest)).fill_null(NO_CREATED).to_numpy(zero_copy_only=False))


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
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = _whole(column)
    if len(rows) == len(whole) and _ascending(rows):
        return whole
    return pc.take(whole, pa.array(rows), memory_pool=pa.system_memory_pool())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    """The values as one array, from NumPy's allocator: what one frees the other takes, and neither keeps its own."""
    import pyarrow as pa

    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks(memory_pool=pa.system_memory_pool())


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
