"""Feast's batches of messages into the rows. Imports Feast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import PROTO_VALUE_TO_VALUE_TYPE_MAP

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.online import values
from boxplat.features.online.response import stored_messages
from boxplat.features.online.views import NO_ENTITY
from boxplat.features.schema import Field, View

if TYPE_CHECKING:
    from boxplat.features.rows import Store

Row = tuple[EntityKey, Mapping[str, Value], datetime, datetime | None]
# The names of the times' columns; a feature's name cannot have a space.
EVENT, CREATED = "event time", "created time"
# So early that nothing is too old then.
_EVER = -(2**62)


def push(store: Store, view: View, data: Sequence[Row]) -> int:
    """Store a batch durably; a row older than the stored one is left out.

    Returns:
        Rows accepted.

    Raises:
        BoxError: a value that the view's types cannot hold, or keys that are not the view's.
    """
    keys = key_columns(view, [row[0] for row in data])
    columns = {field.name: _feature(store, view, field, keys, data) for field in view.fields}
    arrays: dict[str, Any] = {key.name: _column(view, key, keys[key.name]) for key in view.keys}
    arrays |= {field.name: _column(view, field, columns[field.name]) for field in view.fields}
    arrays[EVENT] = pa.array([_utc(row[2]) for row in data], pa.timestamp("us", tz="UTC"))
    created = [None if row[3] is None else _utc(row[3]) for row in data]
    arrays[CREATED] = pa.array(created, pa.timestamp("us", tz="UTC"))
    return store.push(view.name, arrays, EVENT, CREATED)


def key_columns(view: View, keys: Sequence[EntityKey]) -> dict[str, list[Value]]:
    """The messages of each of a view's keys, in the keys' order.

    Raises:
        BoxError: an entity without one of them.
    """
    rows = [dict(zip(key.join_keys, key.entity_values, strict=True)) for key in keys]
    try:
        return {key.name: [row[key.name] for row in rows] for key in view.keys}
    except KeyError as error:
        given = sorted({name for row in rows for name in row})
        raise BoxError(
            f"{view.name} has the key {error}, which an entity lacks",
            why=f"the entities have {given}",
            fix="give every key of the view; box features apply, if its entities have changed",
            code=ExitCode.USAGE,
        ) from None


def undeclared(view: View, data: Sequence[Row]) -> View:
    """A view that no definitions declare (Feast keeps precomputed vectors in such), with the keys of its rows."""
    sample = data[0][0]
    kinds = {
        name: PROTO_VALUE_TO_VALUE_TYPE_MAP[value.WhichOneof("val")].name
        for name, value in zip(sample.join_keys, sample.entity_values, strict=True)
        if name != NO_ENTITY
    }
    return View(view.name, tuple(Field(name, kind) for name, kind in sorted(kinds.items())), view.fields, view.ttl_us)


def _feature(
    store: Store, view: View, field: Field, keys: Mapping[str, list[Value]], data: Sequence[Row]
) -> list[Value | None]:
    """A feature's messages. Rows that lack it keep what is stored, as in Feast's stores of one cell per feature."""
    found = [row[1].get(field.name) for row in data]
    lacking = [index for index, value in enumerate(found) if value is None]
    if lacking:
        some = {name: [values.plain(column[index]) for index in lacking] for name, column in keys.items()}
        rows = store.read(view.name, some or {"": lacking}, [field.name], _EVER)
        for index, value in zip(lacking, stored_messages(rows, field.name, field.type), strict=True):
            found[index] = value
    return found


def _column(view: View, field: Field, found: Sequence[Value | None]) -> pa.Array | list[Any]:
    try:
        return values.column(found, field.type)
    except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
        raise BoxError(
            f"{view.name} cannot hold a value of {field.name} as {field.type}",
            why=str(error),
            fix="correct the value, or the type declared in the feature view, then: box features apply",
            code=ExitCode.USAGE,
        ) from error


def _utc(moment: Any) -> datetime:
    found: datetime = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return found
