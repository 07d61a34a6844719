"""Rows of SQLite in PostgreSQL: whatever they hold comes back the same, and what cannot is told before."""

from __future__ import annotations

import json
import math
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection, Engine

from boxplat.core.errors import BoxError
from boxplat.export.migrate.faults import faults, orphans
from boxplat.export.migrate.rows import Sides, copy_rows
from boxplat.export.migrate.values import Checksum
from tests.export.migrate.conftest import DRIVER
from tests.export.migrate.postgres import Postgres

METADATA = sa.MetaData()
PARENT = sa.Table(
    "parent",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(40), unique=True),
)
# The name, and one of the columns, are words of SQL.
WILD = sa.Table(
    "order",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("group", sa.Integer, sa.ForeignKey("parent.id"), primary_key=True),
    sa.Column("flag", sa.Boolean),
    sa.Column("large", sa.BigInteger),
    sa.Column("number", sa.Float(precision=53)),
    sa.Column("text", sa.Text),
    sa.Column("raw", sa.LargeBinary),
    sa.Column("json", sa.JSON(none_as_null=True)),
    sa.Column("day", sa.Date),
    sa.Column("twice", sa.BigInteger, sa.Computed("large / 2", persisted=True)),
)
# All texts but those with zero bytes, which are told of, and with halves of pairs, which SQLite does not hold.
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.one_of(st.none(), st.floats(allow_nan=False), st.sampled_from([5e-324, -0.0, math.inf, 0.1 + 0.2]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "key": TEXTS | st.sampled_from(["\\N", "\\.", "\t", "\r\n", "NULL", ""]),
            "group": st.integers(0, 2),
            "flag": st.none() | st.booleans(),
            "large": st.none() | st.integers(-(2**63), 2**63 - 1),
            "number": NUMBERS,
            "text": st.none() | TEXTS,
            "raw": st.none() | st.binary(max_size=20),
            "json": JSON,
            "day": st.none() | st.dates(),
        }
    ),
    max_size=8,
    unique_by=lambda row: (row["key"], row["group"]),
)


@pytest.fixture(scope="module")
def there(postgres: Postgres) -> Iterator[Engine]:
    engine = sa.create_engine(postgres.make("rows").replace("postgresql", DRIVER, 1))
    METADATA.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def empty(there: Engine) -> Engine:
    _empty(there)
    return there


def _empty(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text('truncate parent, "order"'))


def local(path: Path | str, rows: list[dict[str, Any]]) -> Connection:
    connection = sa.create_engine(f"sqlite:///{path}").connect()
    METADATA.create_all(connection)
    connection.execute(PARENT.insert(), [{"id": number, "name": f"parent {number}"} for number in range(3)])
    if rows:
        connection.execute(WILD.insert(), rows)
    connection.commit()
    return connection


def quiet(line: str) -> None:
    """Nobody listens."""


def exact(value: Any) -> Any:
    """Zero has a sign, which comparing does not see; JSON's numbers are what its text says."""
    if isinstance(value, float):
        return struct.pack(">d", value)
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


@given(ROWS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_value_comes_back_the_same(there: Engine, rows: list[dict[str, Any]]) -> None:
    _empty(there)
    with local(":memory:", rows) as source:
        here = {(row.key, row.group): row for row in source.execute(WILD.select())}

        copied = {table.name: table.rows for table in copy_rows(Sides(source, there), quiet)}

    assert copied == {"parent": 3, "order": len(rows)}
    with there.connect() as connection:
        found = {(row.key, row.group): row for row in connection.execute(WILD.select())}
    assert {key: tuple(map(exact, row)) for key, row in found.items()} == {
        key: tuple(map(exact, row)) for key, row in here.items()
    }


def test_a_row_that_has_anothers_name_there_is_refused_by_its_key(empty: Engine, tmp_path: Path) -> None:
    with empty.begin() as connection:
        connection.execute(PARENT.insert(), [{"id": 77, "name": "parent 1"}])

    with local(tmp_path / "a.db", []) as source, pytest.raises(BoxError) as caught:
        copy_rows(Sides(source, empty), quiet)

    assert caught.value.code == 10
    assert "parent 1: another row there has its name" in caught.value.why


def test_a_row_that_is_written_while_it_is_compared_is_seen(empty: Engine, tmp_path: Path) -> None:
    def meddle(line: str) -> None:
        if line.startswith("comparing"):
            with empty.begin() as connection:
                connection.execute(PARENT.update().where(PARENT.c.id == 2).values(name="other"))

    with local(tmp_path / "a.db", []) as source, pytest.raises(BoxError, match="parent is not the same") as caught:
        copy_rows(Sides(source, empty), meddle)

    assert caught.value.code == 10


def test_a_column_that_is_not_there_is_refused(empty: Engine, tmp_path: Path) -> None:
    with local(tmp_path / "a.db", []) as source:
        source.execute(sa.text("alter table parent add column more text"))
        with pytest.raises(BoxError) as caught:
            copy_rows(Sides(source, empty), quiet)

    assert "column parent.more" in caught.value.why


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, NUMBERS), max_size=6), st.randoms())
def test_a_checksum_does_not_depend_on_the_order_but_on_every_row(rows: list[tuple[Any, ...]], draw: Any) -> None:
    columns = (sa.Column("a", sa.Text), sa.Column("b", sa.Float))
    first, other, twice = Checksum(columns), Checksum(columns), Checksum(columns)
    shuffled = list(rows)
    draw.shuffle(shuffled)
    first.add(rows)
    other.add(shuffled)
    assert (first.rows, first.text) == (other.rows, other.text)
    if rows:
        twice.add([*rows[1:], (rows[0][0] + "x", rows[0][1])])
        assert twice.text != first.text
        other.add(rows[:1])
        assert other.text != first.text


def test_neither_borders_nor_types_of_values_are_lost_in_a_digest() -> None:
    texts = (sa.Column("a", sa.Text), sa.Column("b", sa.Text))
    rows: list[tuple[Any, Any]] = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", None), ("abc", ""), (1, True), (1, 1)]
    assert len({Checksum(texts).digest(row) for row in rows}) == len(rows)


def test_what_postgresql_cannot_hold_is_told_with_the_row(tmp_path: Path) -> None:
    local(tmp_path / "a.db", []).close()
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("insert into parent values (5, ?)", ("long" * 11,))
        db.execute("insert into parent values (6, ?)", ("zero\0byte",))
        db.execute("insert into parent values (?, 'large')", (2**31,))
        db.execute('insert into "order" (key, "group", flag) values (?, 0, 2)', ("k",))
        db.execute('insert into "order" (key, "group", number) values (?, 0, ?)', ("l", "many"))
        db.execute('insert into "order" (key, "group", json) values (?, 0, ?)', ("m", "{"))
        db.execute('insert into "order" (key, "group", large) values (?, 0, ?)', ("n", "1e"))
    with sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}").connect() as source:
        found = faults(source)

    assert [fault.partition(" in ")[0] for fault in found] == [
        "order.flag is neither true nor false",
        "order.large is no whole number",
        "order.number is no number",
        "order.json is no JSON",
        "parent.id is too large",
        "parent.name is longer than 40 characters",
        "parent.name holds a zero byte",
    ]
    assert "first: id='6'" in found[-1] and "key='k' group='0'" in found[0]


def test_rows_whose_parent_is_gone_stay_with_all_that_hang_on_them(tmp_path: Path) -> None:
    rows = [{"key": key, "group": group, "json": None} for key, group in (("a", 0), ("b", 1), ("c", 1))]
    local(tmp_path / "a.db", rows).close()
    with sqlite3.connect(tmp_path / "a.db") as db:
        db.execute("delete from parent where id = 1")
    with sa.create_engine(f"sqlite:///{tmp_path / 'a.db'}").connect() as source:
        assert orphans(source) == {"order": 2}
        assert [row.key for row in source.execute(WILD.select())] == ["a"]
