"""How each view is matched: the choice by cost."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from boxplat.features.join.codes import CODED
from boxplat.features.join.keys import Common, common, family
from boxplat.features.join.match import BYTES_PER_ROW
from boxplat.features.join.scan import groups
from boxplat.features.join.session import Session
from boxplat.features.join.source import Source
from boxplat.features.join.times import is_text

# Bytes of a value of varying length, at least; and of an entity row's match in one view.
_VARYING, NEEDLE_BYTES = 40, 24
# Entity rows that are worth a pass of their own, however little memory there is.
LEAST_CHUNK = 2**13
# With so many history rows per entity row it pays to look at the newest ones first.
_SPARSE = 16


def forms(source: Source, entity: pa.Schema) -> list[Common]:
    """How each key is compared.

    Raises:
        BoxError: types that cannot be (exit code 2).
    """
    return [
        common(source.history.name, (theirs, entity.field(theirs).type), (ours, source.kind(ours)))
        for ours, theirs in source.history.keys
    ]


def coded(source: Source, entity: pa.Schema, compared: list[Common]) -> bool:
    """Whether the rows can be matched outside SQL: files, with keys that have codes and times that need no parsing."""
    times = [source.history.timestamp] + ([source.history.created] if source.history.created else [])
    kinds = [source.kind(ours) for ours, _ in source.history.keys]
    kinds += [entity.field(theirs).type for _, theirs in source.history.keys]
    return (
        bool(source.parts)
        and not any(is_text(source.kind(column)) or pa.types.is_null(source.kind(column)) for column in times)
        and all(form.kind in CODED for form in compared)
        and all(family(kind) in CODED and not pa.types.is_uint64(kind) for kind in kinds)
    )


def slice_rows(source: Source, span: tuple[int, int], entities: int, session: Session) -> int | None:
    """How many history rows to match at a time, the newest first; None: all in one piece."""
    if session.options.plan == "sort":
        return None
    limit = session.rows(BYTES_PER_ROW)
    rows = sum(group.rows for group in groups(source, span))
    sparse = rows > _SPARSE * entities or session.options.plan == "lookback"
    return limit if sparse or rows > limit else None


def chunk_rows(entity: pa.Schema, sources: Sequence[Source], session: Session) -> int:
    """How many entity rows to join at a time, so that the result's part for them fits into half of the memory."""
    width = sum(_width(field.type) for field in entity)
    for source in sources:
        width += NEEDLE_BYTES + sum(_stored(source, column) for column, _ in source.history.features)
    return max(session.budget // 2 // width, LEAST_CHUNK)


def _width(kind: pa.DataType) -> int:
    try:
        return max(int(kind.bit_width) // 8, 1)
    except ValueError:
        return _VARYING


def _stored(source: Source, column: str) -> int:
    """Bytes of a value: for text and lists what the files say of their average."""
    width = _width(source.kind(column))
    if width != _VARYING:
        return width
    total = rows = 0
    for part in source.parts:
        schema = part.metadata.schema
        leaves = [at for at in range(len(schema)) if schema.column(at).path.split(".")[0] == column]
        for index in range(part.metadata.num_row_groups):
            group = part.metadata.row_group(index)
            total += sum(group.column(leaf).total_uncompressed_size for leaf in leaves)
            rows += group.num_rows
    return max(width, 2 * total // max(rows, 1))
