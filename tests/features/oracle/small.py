"""One view, one key, one feature: the smallest request, for tests of one behaviour each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tests.features.oracle.cases import EPOCH, SECOND
from tests.features.oracle.model import Case, View

if TYPE_CHECKING:
    from tests.features.oracle.world import World

UTC_US = pa.timestamp("us", "UTC")
DAY = 86_400.0


def at(seconds: float | None) -> int | None:
    """A moment in microseconds, counted from 2026-03-01T00:00:00Z; None stays None."""
    return None if seconds is None else EPOCH + round(seconds * SECOND)


def history(
    *rows: tuple[Any, float | None, float | None, Any],
    key: pa.DataType | None = None,
    value: pa.DataType | None = None,
    stamp: pa.DataType = UTC_US,
    **changes: Any,
) -> View:
    """A view `view` with key `key` and feature `value` from rows of (key, event, created, value), times in seconds."""
    types = {"key": key or pa.int64(), "event_timestamp": stamp, "created": stamp, "value": value or pa.int64()}
    told = [
        {"key": k, "event_timestamp": at(event), "created": at(created), "value": v} for k, event, created, v in rows
    ]
    plain = View("view", {"key": "key"}, {"value": "value"}, types, told, created="created")
    return replace(plain, **changes)


def request(
    view: View | list[View],
    *asked: tuple[Any, float | None],
    key: pa.DataType | None = None,
    stamp: pa.DataType = UTC_US,
    **changes: Any,
) -> Case:
    """A request for entity rows of (key, time in seconds), with a row number."""
    types = {"row": pa.int64(), "key": key or pa.int64(), "event_timestamp": stamp}
    rows = [{"row": n, "key": k, "event_timestamp": at(time)} for n, (k, time) in enumerate(asked)]
    plain = Case(types, rows, view if isinstance(view, list) else [view], given_as="arrow")
    return replace(plain, **changes)


def answered(world: World, case: Case) -> pa.Table:
    """The store's answer, which must be that of nested loops as well."""
    from tests.features.oracle.world import complaints

    found = world.ask_whole(case).to_arrow()
    assert list(complaints(case, found)) == []
    return found


def values(world: World, view: View | list[View], *asked: tuple[Any, float | None], **changes: Any) -> list[Any]:
    """What `value` is for each entity row."""
    found: list[Any] = answered(world, request(view, *asked, **changes))["value"].to_pylist()
    return found
