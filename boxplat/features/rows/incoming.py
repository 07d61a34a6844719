"""Columns that come in, as rows: keys and times checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.rows import block, codecs, heap
from boxplat.features.rows.codecs import Column
from boxplat.features.rows.keys import Keys, encode_keys
from boxplat.features.rows.layout import NO_CREATED, Layout


def incoming(
    layout: Layout,
    view: str,
    keys: Mapping[str, Column],
    event_us: Column,
    created_us: Column | None,
    columns: Iterable[tuple[str, Column]],
) -> block.Block:
    """Rows from columns, in their order; those with a null key are left out.

    Raises:
        BoxError: a null event time, columns of unequal length, and as `block.build`.
    """
    found, events, created = heads(layout, view, keys, event_us, created_us)
    rows = block.build(layout, view, found, events, created, columns)
    return rows if found.valid is None else rows.take(np.flatnonzero(found.valid))


def heads(
    layout: Layout, view: str, keys: Mapping[str, Column], event_us: Column, created_us: Column | None
) -> tuple[Keys, heap.Ints, heap.Ints | None]:
    """Keys, event times and created times, checked.

    Raises:
        BoxError: a null event time, or columns of unequal length.
    """
    found = encode_keys(layout, keys, view)
    events, given = _times(event_us, f"the event time of the view {view!r}")
    if len(events) != len(found.sort):
        raise _refused(view, f"{len(events)} event times for {len(found.sort)} keys", "give one time for every key")
    if given is not None:
        raise _refused(view, f"{int((~given).sum())} of {len(events)} event times are null", "leave such rows out")
    created = None
    if created_us is not None:
        created, given = _times(created_us, f"the created time of the view {view!r}")
        created = created if given is None else np.where(given, created, NO_CREATED)
    return found, events, created


def _refused(view: str, why: str, fix: str) -> BoxError:
    return BoxError(f"cannot write rows of the view {view!r}", why=why, fix=fix, code=ExitCode.USAGE)


def _times(column: Column, where: str) -> tuple[Any, Any]:
    """Microseconds and validity; int64 NumPy arrays are microseconds already."""
    if isinstance(column, np.ndarray) and column.dtype == np.int64:
        return column, None
    return codecs.event_times(column, where)
