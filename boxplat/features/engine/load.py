"""One view's load: read, choose the newest row of each key, write, commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Protocol

from boxplat.core.datasets import brought
from boxplat.features.engine.failures import changed, roomy
from boxplat.features.engine.heads import Heads, placed
from boxplat.features.engine.latest import Int64s
from boxplat.features.engine.plan import Plan, named
from boxplat.features.engine.reader import Reader
from boxplat.features.engine.spill import Division, Spill
from boxplat.features.offline.plans import noted

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

    from boxplat.features.rows import Load, Store

# Called once with the number of source rows; what it returns is called with the number done since the last time.
Progress = Callable[[int], Callable[[int], object]]
# A store has no more partitions than this.
MOST_PARTITIONS = 200


class Piece(Protocol):
    """Rows that are small enough to be worked on at once."""

    def heads(self) -> Heads: ...

    def column(self, index: int) -> pa.ChunkedArray: ...


def load(store: Store, plan: Plan, db: DuckDBPyConnection, limit: int, progress: Progress) -> int:
    """Put the newest row of each key of a plan's range into the store, where it is not older than what is there.

    The store changes in one step at the end. A load that was killed is continued by the next one of the same plan and
    limit if neither the source nor the store has changed; any other starts anew.

    Args:
        store: defines the plan's view.
        db: reads the source.
        limit: bytes of uncompressed columns that are worked on at once.
        progress: hears how far the reading is.

    Returns:
        How many keys the range holds.

    Raises:
        BoxError: a source that cannot be read or does not fit the view, a full disk, or another load of the same view
            that is under way. The store is as it was.
    """
    with (
        named(plan.view.name),
        roomy(store.folder),
        store.load(plan.view.name) as work,
    ):
        source = Reader(plan, db)
        partitions = _partitions(source, limit)
        done = work.resume(f"{plan.identity(source.whole)} in {partitions}")
        advance = progress(source.rows)
        written = _pieces(work, plan, source, done, partitions, advance) if source.rows else 0
        if not plan.source.listing.unchanged():
            raise changed(plan)
        work.commit(plan.end_us)
    noted([plan.source])
    brought(plan.view.name, written)
    return written


def _partitions(source: Reader, limit: int) -> int:
    size = source.bytes() if source.rows else 0
    # Half as much at once: reading back what was divided takes room too.
    return 1 if size <= limit else min(-(-2 * size // limit), MOST_PARTITIONS)


def _pieces(
    work: Load, plan: Plan, source: Reader, done: Mapping[int, int], partitions: int, advance: Callable[[int], object]
) -> int:
    if partitions == 1:
        written = _write(work, plan, source, done, 0, 1)
        advance(source.rows)
        return written
    spill = Spill(plan, work.folder, partitions)
    if not spill.complete():
        spill.fill(source, _division(plan), advance)
    written = 0
    for number in range(partitions):
        written += _write(work, plan, spill.part(number), done, number, partitions)
        spill.release(number)
    return written


def _write(work: Load, plan: Plan, piece: Piece, done: Mapping[int, int], number: int, partitions: int) -> int:
    """Write the newest rows of a piece, unless an interrupted load has done so; how many they are."""
    if number in done:
        return done[number]
    heads = piece.heads()
    rows = heads.newest()
    newest = heads.take(rows)
    del heads
    columns = _columns(plan, piece, rows)
    return work.write(number, partitions, _keys(plan, newest), newest.event_us, newest.created_us, columns)


def _columns(plan: Plan, piece: Piece, rows: Int64s) -> Iterator[tuple[str, pa.Array]]:
    for index, field in enumerate(plan.view.fields):
        yield field.name, placed(piece.column(index), rows)


def _division(plan: Plan) -> Division:
    """By the rule of the store, so that each piece is one of its partitions."""
    from boxplat.features.rows import partition_of

    return lambda heads, partitions: partition_of(plan.view, _keys(plan, heads), partitions)


def _keys(plan: Plan, heads: Heads) -> dict[str, pa.Array | Int64s]:
    """By name; a view without keys has one row, whose number is taken from its times."""
    if not plan.keys:
        return {"": heads.event_us}
    return {key.name: column for key, column in zip(plan.view.keys, heads.keys, strict=True)}
