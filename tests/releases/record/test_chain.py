"""The record: no change of it goes unnoticed, and what is wrong is named."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore, chain, witness
from boxplat.core.state.chain import Head, Row
from boxplat.core.state.database import MIGRATIONS
from boxplat.core.state.verification import LOCKS

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)


def rows(count: int, start: int = 1, previous: str = "") -> list[Row]:
    made = []
    for number in range(start, start + count):
        data = {"weights": {"7": 90, "8": 10}, "evidence": {"auc": 0.1 + number}, "reason": "Größe"}
        text = chain.text_of(number, 1e9 + number, "endpoint/delay", "traffic.set", "me", data, previous).encode()
        previous = chain.hash_of(text)
        made.append(Row(number, b"endpoint/delay", b"traffic.set", text, previous.encode()))
    return made


GOOD = rows(6)
HEAD = Head(6, GOOD[-1].hash.decode())
SEEN = {row.number: row.hash.decode() for row in GOOD}


def named(changed: list[Row], head: Head | None = HEAD, seen: dict[int, str] | None = None) -> list[int | None]:
    return [fault.number for fault in chain.faults(changed, head, SEEN if seen is None else seen)]


def flipped(value: bytes, at: int, bits: int) -> bytes:
    return value[:at] + bytes([value[at] ^ bits]) + value[at + 1 :]


def test_a_whole_record_is_found_whole() -> None:
    assert chain.faults(GOOD, HEAD, SEEN) == [] and chain.faults([], None, {}) == []
    assert chain.faults(GOOD, HEAD, {}) == [], "without the file outside the chain still stands"


@pytest.mark.parametrize("column", ["subject", "kind", "entry", "hash"])
@pytest.mark.parametrize("seen", [SEEN, {}])
def test_any_changed_byte_of_any_entry_is_named(column: str, seen: dict[int, str]) -> None:
    for place, row in enumerate(GOOD):
        value = getattr(row, column)
        for at in range(len(value)):
            for bits in (1, 32, 128):
                changed = [*GOOD[:place], replace(row, **{column: flipped(value, at, bits)}), *GOOD[place + 1 :]]
                assert named(changed, seen=seen) == [row.number], (column, at, bits)


@given(st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_entry_that_was_changed_is_named(data: st.DataObject) -> None:
    changed = list(GOOD)
    places = data.draw(st.sets(st.integers(0, 5), min_size=1))
    for place in places:
        row = changed[place]
        column = data.draw(st.sampled_from(["subject", "kind", "entry", "hash"]))
        value = data.draw(st.binary(max_size=80).filter(lambda made: made != getattr(row, column)))  # noqa: B023
        changed[place] = replace(row, **{column: value})
    assert named(changed) == sorted(place + 1 for place in places)


@pytest.mark.parametrize("seen", [SEEN, {}])
def test_an_entry_written_anew_with_its_right_hash_is_named(seen: dict[int, str]) -> None:
    for place, row in enumerate(GOOD):
        text = row.entry.replace(b'"reason":"Gr', b'"reason":"gr')
        forged = replace(row, entry=text, hash=chain.hash_of(text).encode())
        assert named([*GOOD[:place], forged, *GOOD[place + 1 :]], seen=seen) == [row.number]


def test_a_tail_written_anew_with_its_head_is_named_by_the_file_outside() -> None:
    forged = GOOD[:3]
    for row in GOOD[3:]:
        document = json.loads(row.entry) | {"by": "you", "previous": forged[-1].hash.decode()}
        text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        forged = [*forged, replace(row, entry=text, hash=chain.hash_of(text).encode())]
    head = Head(6, forged[-1].hash.decode())
    assert named(forged, head) == [4, 5, 6]
    assert named(forged, head, {}) == [], "which is what a chain alone cannot see"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sets(st.integers(0, 5), min_size=1))
def test_deleted_entries_are_named(gone: set[int]) -> None:
    faults = chain.faults([row for place, row in enumerate(GOOD) if place not in gone], HEAD, SEEN)
    missing: set[int] = set()
    for begin, end in chain.gaps([place + 1 for place in range(6) if place not in gone], 6):
        missing |= set(range(begin, end + 1))
    assert missing == {place + 1 for place in gone} and {fault.what for fault in faults} == {"missing"}
    assert [fault.number for fault in faults] == [begin for begin in sorted(missing) if begin - 1 not in missing]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.permutations(range(6)).filter(lambda order: order != list(range(6))))
def test_entries_in_another_order_are_named(order: list[int]) -> None:
    moved = [replace(GOOD[place], number=at + 1) for at, place in enumerate(order)]
    assert named(moved) == [at + 1 for at, place in enumerate(order) if at != place]


def test_a_tail_cut_off_is_named_by_the_head_and_by_the_file() -> None:
    assert named(GOOD[:4], seen={}) == [5] and named(GOOD[:4], Head(4, GOOD[3].hash.decode())) == [5]
    assert named(GOOD[:4], Head(4, GOOD[3].hash.decode()), {}) == [], "with both cut too nothing is left that knows"


def test_entries_that_were_added_are_named() -> None:
    assert named([*GOOD, *rows(1, 7, GOOD[-1].hash.decode())]) == [7]
    assert named([replace(GOOD[0], number=0), *GOOD]) == [0]


def test_another_head_is_told() -> None:
    assert named(GOOD, Head(6, "0" * 64)) == [None] and named(GOOD, None) == [None]
    assert named(GOOD, Head(10**15, "0" * 64))[-1] == 7, "and quickly"


@given(st.dictionaries(st.text(), JSON), st.text(), st.text())
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_said_is_kept_in_one_form(data: dict[str, object], subject: str, by: str) -> None:
    text = chain.text_of(1, 1.5, subject, "kind", by, data, "")
    entry = chain.parsed(text, chain.hash_of(text.encode()))
    assert text.isascii() and (entry.subject, entry.by, entry.at) == (subject, by, 1.5)
    turned = dict(reversed(list(data.items())))
    assert chain.text_of(1, 1.5, subject, "kind", by, turned, "") == text
    assert chain.text_of(1, 1.5, subject, "kind", by, entry.data, "") == text


# -- in a database -----------------------------------------------------------------------------------------------


def filled(state: StateStore, count: int = 5) -> None:
    for number in range(count):
        with state.database.write() as tx:
            state.record.append(tx, "endpoint/delay", "tried", "me", {"weights": {7: 100 - number}})


def opened(project: Path) -> sqlite3.Connection:
    """As a person with the sqlite3 program and bad intent has it."""
    db = sqlite3.connect(Paths(project).database, isolation_level=None)
    for lock in ("record_no_update", "record_no_delete", "record_in_order"):
        db.execute(f"drop trigger {lock}")
    return db


def otherwise(line: str) -> str:
    chained, number, digest, at = line.split()
    return f"{chained} {number} {digest[::-1]} {at}"


def told(state: StateStore) -> list[tuple[int | None, str]]:
    return [(fault.number, fault.what) for fault in state.record.verify().faults if fault.what != "unlocked"]


def test_an_entry_belongs_to_its_transaction(state: StateStore) -> None:
    filled(state, 1)
    with pytest.raises(ValueError, match="no"), state.database.write() as tx:
        state.record.append(tx, "endpoint/delay", "traffic.set", "me", {"weights": {7: 1}})
        raise ValueError("no")
    assert [entry.data.get("weights") for entry in state.record.entries("endpoint/delay")] == [{"7": 100}]
    assert state.record.verify(), "and the file outside knows nothing of what was not committed"


@pytest.mark.parametrize(
    "sql",
    [
        "update record set entry = '{}' where number = 2",
        "delete from record where number = 2",
        "insert or replace into record values (2, 'a', 'b', 'c', 'd')",
        "replace into record values (2, 'a', 'b', 'c', 'd')",
        "insert into record values (9, 'a', 'b', 'c', 'd')",
        "insert into record values (null, 'a', 'b', 'c', 'd')",
    ],
)
def test_the_table_refuses(state: StateStore, project: Path, sql: str) -> None:
    filled(state)
    with sqlite3.connect(Paths(project).database) as db, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        db.execute(sql)
    assert state.record.verify()


TAMPERED: list[tuple[str, list[tuple[int | None, str]]]] = [
    ("update record set entry = replace(entry, '\"me\"', '\"you\"') where number = 3", [(3, "changed")]),
    ("update record set entry = cast(entry as blob) || x'ff' where number = 3", [(3, "changed")]),
    ("update record set entry = x'00' where number = 3", [(3, "changed")]),
    ("delete from record where number = 3", [(3, "missing")]),
    ("delete from record where number > 3", [(4, "missing")]),
    ("delete from record", [(1, "missing")]),
    ("update record set number = -number where number in (3, 4)", [(-4, "moved"), (-3, "moved"), (3, "missing")]),
    ("drop table record", [(None, "missing")]),
    ("update meta set value = '3 abc' where key = 'record.head'", [(4, "added"), (5, "added"), (6, "added")]),
    ("delete from meta where key = 'record.head'", [(None, "changed")]),
]


@pytest.mark.parametrize(("sql", "expected"), TAMPERED)
def test_what_somebody_did_to_the_table_is_named(
    state: StateStore, project: Path, sql: str, expected: list[tuple[int | None, str]]
) -> None:
    filled(state)
    opened(project).execute(sql)
    assert set(expected) <= set(told(state)) and len(told(state)) <= len(expected) + 1


def test_missing_locks_are_told(state: StateStore, project: Path) -> None:
    filled(state)
    opened(project).close()
    assert [fault.what for fault in state.record.verify().faults] == ["unlocked"] * 3


def test_a_tail_cut_off_with_its_head_is_named_by_the_file(state: StateStore, project: Path) -> None:
    filled(state)
    before = state.record.entries()[3]
    db = opened(project)
    db.execute("delete from record where number > 4")
    db.execute("update meta set value = ? where key = 'record.head'", (f"4 {before.hash}",))
    assert told(state) == [(5, "missing")]


def test_an_older_copy_of_the_database_is_told(state: StateStore, project: Path) -> None:
    filled(state, 2)
    database = Paths(project).database
    with sqlite3.connect(database) as db, sqlite3.connect(project / "copy.db") as copy:
        db.backup(copy)
    filled(state, 2)
    state.close()
    for suffix in ("-wal", "-shm"):
        database.with_name(f"box.db{suffix}").unlink(missing_ok=True)
    os.replace(project / "copy.db", database)
    again = StateStore.open(Paths(project))
    assert told(again) == [(4, "missing")]
    filled(again, 1)
    assert told(again) == [(4, "changed"), (5, "missing")], "going on from there does not hide it"
    again.close()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [], [(None, "witness")]),
        (lambda lines: [*lines[:2], otherwise(lines[2]), *lines[3:]], [(3, "changed")]),
        (lambda lines: [*lines[:2], "x", *lines[3:]], [(None, "witness"), (None, "witness")]),
        (lambda lines: [*lines[:2], *lines[3:]], [(None, "witness")]),
        (lambda lines: lines[:3], [(None, "witness")]),
    ],
)
def test_what_somebody_did_to_the_file_outside_is_told(
    state: StateStore, project: Path, change: Callable[[list[str]], list[str]], expected: list[tuple[int | None, str]]
) -> None:
    filled(state)
    path = witness.place(Paths(project).database)
    lines = change(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    assert told(state) == expected


def test_a_file_that_lags_is_mended_by_the_next_entry(state: StateStore, project: Path) -> None:
    filled(state, 2)
    path = witness.place(Paths(project).database)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert not state.record.verify()
    filled(state, 1)
    faults = state.record.verify().faults
    assert [fault.detail for fault in faults] == ["line 3 of its file is no line of it"], "a half line stays visible"
    path.write_bytes(whole[: -whole[::-1].index(b"\n", 1)])
    filled(state, 1)
    assert state.record.verify() and len(path.read_text().splitlines()) == 5


def test_the_file_is_private_and_a_folder_in_its_place_stops_nothing(state: StateStore, project: Path) -> None:
    path = witness.place(Paths(project).database)
    assert path.stat().st_mode & 0o777 == 0o600
    path.unlink()
    path.mkdir()
    filled(state, 1)
    assert len(state.record.entries("endpoint/delay")) == 1 and told(state) == [(None, "witness")]


def test_a_record_begun_anew_says_what_was_before(state: StateStore, project: Path) -> None:
    filled(state, 2)
    old = state.record.verify().head
    state.close()
    for name in ("box.db", "box.db-wal", "box.db-shm"):
        (project / ".box" / name).unlink(missing_ok=True)
    again = StateStore.open(Paths(project))
    assert old is not None and again.record.entries()[0].data["former"] == {"number": old.number, "hash": old.hash}
    assert again.record.verify()
    again.close()


@pytest.mark.parametrize("head", ["", "delete from meta where key = 'record.head'"])
@pytest.mark.parametrize("file", ["kept", "deleted"])
def test_a_record_that_was_emptied_stays_told(state: StateStore, project: Path, head: str, file: str) -> None:
    filled(state)
    with opened(project) as db:
        for statement in ("delete from record", head, *LOCKS.values()):
            db.execute(statement)
    if file == "deleted":
        witness.place(Paths(project).database).unlink()
    state.close()
    again = StateStore.open(Paths(project))
    filled(again, 1)
    assert (None, "replaced") in told(again)
    again.close()


def test_an_older_box_beside_the_hashes_of_a_record_is_told(state: StateStore, project: Path) -> None:
    """A file from before the record was put back."""
    filled(state)
    state.close()
    for name in ("box.db", "box.db-wal", "box.db-shm"):
        (project / ".box" / name).unlink(missing_ok=True)
    with sqlite3.connect(project / ".box" / "box.db") as db:
        for script in MIGRATIONS[:2]:
            db.executescript(script)
        db.execute("insert into release values ('a', 1, 'a:c', null, null, null, 'e', 50, 'me', 'live')")
        db.execute("pragma user_version = 2")
    again = StateStore.open(Paths(project))
    assert (None, "replaced") in told(again)
    again.close()


@pytest.mark.parametrize(
    "change", ["delete from record where number = 1", "update record set hash = x'ff' where number = 1"]
)
def test_without_its_beginning_entries_are_still_appended(state: StateStore, project: Path, change: str) -> None:
    filled(state, 2)
    path = witness.place(Paths(project).database)
    before = path.read_bytes()
    opened(project).execute(change)
    filled(state, 1)
    assert told(state)[0][0] == 1 or (1, "changed") in told(state)
    assert path.read_bytes() == before, "nothing is said of a chain that has lost its beginning"


def test_an_entry_that_is_deeper_than_any_is_named(state: StateStore, project: Path) -> None:
    filled(state, 2)
    deep = "[" * 100_000
    opened(project).execute(
        "update record set entry = ?, hash = ? where number = 2", (deep, chain.hash_of(deep.encode()))
    )
    assert (2, "changed") in told(state)
    with pytest.raises(BoxError, match="entry 2 of the record"):
        state.record.entries()


def test_a_changed_entry_is_not_read_as_truth(state: StateStore, project: Path) -> None:
    filled(state)
    opened(project).execute("update record set entry = replace(entry, '\"me\"', '\"you\"') where number = 3")
    with pytest.raises(BoxError, match="entry 3 of the record was changed") as caught:
        state.record.entries()
    assert caught.value.code is ExitCode.PRECONDITION


def test_an_older_file_begins_with_what_it_had_decided(tmp_path: Path) -> None:
    root = tmp_path / "old"
    (root / ".box").mkdir(parents=True)
    (root / "boxplat.toml").write_text("")
    with sqlite3.connect(root / ".box" / "box.db") as db:
        for script in MIGRATIONS[:2]:
            db.executescript(script)
        for number, state in ((1, "retired"), (2, "live")):
            values = ("delay", number, f"delay:c{number}", "delay", number, "delay_v1", "sha256:0", 100.0 * number)
            db.execute("insert into release values (?, ?, ?, ?, ?, ?, ?, ?, 'me/cli', ?)", (*values, state))
            told = json.dumps({"weights": {str(number): 100}, "by": "me/cli"})
            line = ("delay", "endpoint.traffic", told, 100.0 * number + 5)
            db.execute("insert into event (subject, kind, data, at) values (?, ?, ?, ?)", line)
        db.execute("insert into traffic values ('delay', 2, 100)")
        db.execute("insert into release values ('other', 1, 'other:c', null, null, null, 'sha256:0', 50, 'me', 'live')")
        db.execute("insert into traffic values ('other', 1, 100)")
        db.execute("pragma user_version = 2")
    state = StateStore.open(Paths(root))
    found = [(one.subject, one.kind, one.data.get("number"), one.data.get("weights")) for one in state.record.entries()]
    assert found == [
        ("record", "record.begun", None, None),
        ("endpoint/other", "release.created", 1, None),
        ("endpoint/delay", "release.created", 1, None),
        ("endpoint/delay", "traffic.set", None, {"1": 100}),
        ("endpoint/delay", "release.created", 2, None),
        ("endpoint/delay", "traffic.set", None, {"2": 100}),
        ("endpoint/other", "traffic.set", None, {"1": 100}),
    ]
    assert state.record.verify()
    state.close()
