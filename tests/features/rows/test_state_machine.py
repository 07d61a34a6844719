"""Random work on a store against a dictionary: define, push, load, drop, reopen, with every type and every kind of
key."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store, partition_of
from boxplat.features.rows.kinds import kind_of
from boxplat.features.schema import Field, View
from tests.features.rows.worlds import KEYS, VALUES, Model, same

TIMES = st.integers(1, 12)
CREATED = st.none() | st.integers(1, 3)


def views(draw: st.DrawFn, name: str) -> View:
    key_types = draw(st.lists(st.sampled_from(sorted(KEYS)), max_size=3))
    types = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=4))
    return View(
        name,
        tuple(Field(f"k{at}", type_) for at, type_ in enumerate(key_types)),
        tuple(Field(f"f{at}", type_) for at, type_ in enumerate(types)),
        draw(st.sampled_from([None, 0, 5])),
    )


class Machine(RuleBasedStateMachine):
    """One view, written through one store object and read through it and another one that stays open."""

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(Path(self.folder.name) / "store")
        self.other = Store(Path(self.folder.name) / "store")
        view = data.draw(st.composite(views)("view of/any name. é"))
        self.store.define(view)
        self.model: Model | None = Model(view)

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def batch(
        self, data: st.DataObject
    ) -> tuple[list[tuple[Any, ...]], list[int], list[int | None], dict[str, list[Any]]]:
        assert self.model is not None
        view = self.model.view
        keys = data.draw(st.lists(st.tuples(*(st.sampled_from(KEYS[key.type]) for key in view.keys)), max_size=6))
        count = len(keys)
        events = data.draw(st.lists(TIMES, min_size=count, max_size=count))
        created = data.draw(st.lists(CREATED, min_size=count, max_size=count))
        columns = {
            item.name: data.draw(st.lists(st.none() | VALUES[item.type], min_size=count, max_size=count))
            for item in view.fields
        }
        return keys, events, created, columns

    def column(self, type_: str, values: list[Any], as_arrow: bool) -> Any:
        """Arrow, where Arrow can hold the values of this type; Python values otherwise."""
        kind = kind_of(type_)
        if (
            not as_arrow
            or kind.family in ("nested", "zoned", "texts")
            or kind.is_set
            or kind.element in ("UUID", "DECIMAL", "JSON", "TIME_UUID")
        ):
            return values
        return pa.array(values, kind.arrow)

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data(), as_arrow=st.booleans())
    def push(self, data: st.DataObject, as_arrow: bool) -> None:
        assert self.model is not None
        keys, events, created, columns = self.batch(data)
        view = self.model.view
        table: dict[str, Any] = {key.name: [row[at] for row in keys] for at, key in enumerate(view.keys)}
        table |= {item.name: self.column(item.type, columns[item.name], as_arrow) for item in view.fields}
        table["event"] = pa.array(events, pa.timestamp("us"))
        table["made"] = pa.array(created, pa.timestamp("us", tz="UTC"))
        accepted = self.store.push(view.name, table, "event", "made")
        before = dict(self.model.rows)
        for at, key in enumerate(keys):
            self.model.put(key, events[at], created[at], {name: column[at] for name, column in columns.items()})
        assert accepted == sum(self.model.rows[key] is not before.get(key) for key in self.model.rows)

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data(), partitions=st.integers(1, 3), commit=st.booleans(), while_loading=st.booleans())
    def load(self, data: st.DataObject, partitions: int, commit: bool, while_loading: bool) -> None:
        assert self.model is not None
        keys, events, created, columns = self.batch(data)
        view = self.model.view
        named = {key.name: [row[at] for row in keys] for at, key in enumerate(view.keys)}
        count = {"": range(len(keys))} if not view.keys else named
        parts = partition_of(view, count, partitions)
        with self.store.load(view.name) as load:
            for number in range(partitions):
                mine = np.flatnonzero(parts == number).tolist()
                load.write(
                    number,
                    partitions,
                    {name: [column[at] for at in mine] for name, column in count.items()},
                    np.array([events[at] for at in mine], np.int64),
                    pa.array([created[at] for at in mine], pa.timestamp("us")),
                    ((name, [column[at] for at in mine]) for name, column in columns.items()),
                )
            if commit:
                load.commit(77)
        if commit:
            for at, key in enumerate(keys):
                self.model.put(key, events[at], created[at], {name: column[at] for name, column in columns.items()})
            assert self.store.status(view.name).watermark_us == 77

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data())
    def change_schema(self, data: st.DataObject) -> None:
        assert self.model is not None
        new = data.draw(st.composite(views)(self.model.view.name))
        keys = data.draw(st.sampled_from([self.model.view.keys, self.model.view.keys, new.keys]))
        kept = data.draw(st.lists(st.sampled_from(self.model.view.fields), unique=True, max_size=2))
        names = {item.name for item in kept}
        fields = (*kept, *(item for item in new.fields if item.name not in names))
        self.store.define(View(new.name, keys, fields, new.ttl_us))
        self.model.change(View(new.name, keys, fields, new.ttl_us))

    @precondition(lambda self: self.model is not None)
    @rule()
    def drop(self) -> None:
        assert self.model is not None
        self.store.drop(self.model.view.name)
        for store in (self.store, self.other):
            try:
                store.read(self.model.view.name, {})
            except BoxError as error:
                assert int(error.code) == 9
            else:
                raise AssertionError("a dropped view was read")
        self.model = None

    @precondition(lambda self: self.model is None)
    @rule(data=st.data())
    def define_again(self, data: st.DataObject) -> None:
        view = data.draw(st.composite(views)("view of/any name. é"))
        self.store.define(view)
        self.model = Model(view)

    @rule()
    def reopen(self) -> None:
        self.store = Store(Path(self.folder.name) / "store")

    @precondition(lambda self: self.model is not None)
    @rule(data=st.data(), now=st.integers(1, 20), other=st.booleans())
    def read(self, data: st.DataObject, now: int, other: bool) -> None:
        assert self.model is not None
        view = self.model.view
        keys = data.draw(
            st.lists(
                st.tuples(*(st.sampled_from([*KEYS[key.type], None]) for key in view.keys)), min_size=1, max_size=12
            )
        )
        named = {key.name: [row[at] for row in keys] for at, key in enumerate(view.keys)} or {"": range(len(keys))}
        rows = (self.other if other else self.store).read(view.name, named, None, now)
        expected = [self.model.expected(key, now) for key in keys]
        assert rows.status.tolist() == [status for status, _, _ in expected]
        assert rows.event_us.tolist() == [event for _, event, _ in expected]
        for item in view.fields:
            values = [row.get(item.name) for _, _, row in expected]
            found = rows.python(item.name)
            assert all(map(same, found, values)), (item, found, values)
            states = [
                2 if status == 1 and value is None else status
                for (status, _, _), value in zip(expected, values, strict=True)
            ]
            assert rows.statuses(item.name).tolist() == states
            column = rows.arrow(item.name)
            assert np.asarray(column.is_valid()).tolist() == [value is not None for value in values]

    @precondition(lambda self: self.model is not None)
    @rule()
    def count(self) -> None:
        assert self.model is not None
        status = self.other.status(self.model.view.name)
        assert status.rows == len(self.model.rows)
        newest = max((event for event, _, _ in self.model.rows.values()), default=None)
        assert status.newest_event_us == newest


TestStore = Machine.TestCase
TestStore.settings = settings(
    max_examples=120, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
