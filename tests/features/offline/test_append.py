"""Rows added as part files, and part files made one: nothing lost, nothing twice, whenever the power goes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.offline import plans
from boxplat.features.offline.append import append
from boxplat.features.offline.compact import Table, merge
from boxplat.features.offline.files import data_files, listing
from boxplat.features.offline.plans import Query
from boxplat.features.offline.source import look_up

from .conftest import at, table, write

LIMITS = SimpleNamespace(memory_limit="256MB", threads=2, temp_directory=None, settings={})


@dataclass
class Rows:
    """A source of Feast's, and what it holds."""

    source: Any

    def values(self) -> list[float]:
        return sorted(self.table().column("value").to_pylist())

    def kind(self) -> str:
        return str(self.table().schema.field("value").type)

    def table(self) -> pa.Table:
        query = Query(
            lambda con: look_up(self.source, None, con), lambda found: f"SELECT value FROM {found.relation}", LIMITS
        )
        return query.table()

    def add(self, *values: int) -> Path:
        return append(self.source, rows(*values), None, LIMITS)

    def merge(self, keys: tuple[str, ...] = ()) -> Any:
        return merge(Table("rows", Path(self.source.path), "event_timestamp", keys), LIMITS)


def rows(*values: int) -> pa.Table:
    return table({"value": pa.array(values, pa.int64()), "event_timestamp": [at(-value) for value in values]})


@pytest.fixture(params=["file", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Rows:
    return prepared(tmp_path, request.param)


def prepared(home: Path, kind: str) -> Rows:
    """A source of the values 0 and 1."""
    from feast import FileSource

    path = home / "rows.parquet" if kind == "file" else home / "rows"
    target = path if kind == "file" else path / "first.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows(0, 1), target)
    return Rows(FileSource(name="rows", path=str(path), timestamp_field="event_timestamp"))


def test_rows_are_added_beside_and_merged_in_order_of_time(kept: Rows) -> None:
    path = Path(kept.source.path)
    first = path if path.is_file() else path / "first.parquet"
    before = first.read_bytes()
    kept.add(3), kept.add(2, 5)
    assert kept.values() == [0, 1, 2, 3, 5]
    assert first.read_bytes() == before and pq.read_table(first).column("value").to_pylist() == [0, 1]
    assert not [file for file in path.parent.rglob("*") if file.suffix == ".tmp"]
    merged = kept.merge()
    assert (merged.before, merged.after, merged.rows) == (3, 1, 5)
    (only,) = listing(str(path)).files
    assert pq.read_table(only).column("value").to_pylist() == [5, 3, 2, 1, 0]
    assert pq.read_metadata(only).row_group(0).column(0).statistics.max == 5
    kept.add(7)
    assert kept.values() == [0, 1, 2, 3, 5, 7] and kept.merge().before == 2 and kept.values() == [0, 1, 2, 3, 5, 7]


def test_merged_by_key_keeps_the_last_written_of_equal_rows_last(kept: Rows) -> None:
    kept.add(1), kept.add(0)
    kept.merge(("value",))
    assert pq.read_table(listing(kept.source.path).files[0]).column("value").to_pylist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"event_timestamp": [at(1)]}, "missing columns: ['value'], unknown columns: []"),
        ({"value": [1], "event_timestamp": [at(1)], "more": [1]}, "unknown columns: ['more']"),
        ({"value": ["x"], "event_timestamp": [at(1)]}, "column 'value' does not fit"),
        ({"value": [1.5], "event_timestamp": [at(1)]}, "column 'value' does not fit"),
    ],
)
def test_rows_that_do_not_fit_change_nothing(kept: Rows, columns: dict[str, Any], words: str) -> None:
    before = sorted(Path(kept.source.path).parent.rglob("*"))
    with pytest.raises(BoxError) as caught:
        append(kept.source, table(columns), None, LIMITS)
    assert words in str(caught.value)
    assert sorted(Path(kept.source.path).parent.rglob("*")) == before and kept.values() == [0, 1]


def test_columns_come_in_any_order_and_nanoseconds(kept: Rows) -> None:
    """What `FeatureStore.push` hands over of a pandas frame."""
    given = rows(4).select(["event_timestamp", "value"])
    append(kept.source, given.set_column(0, "event_timestamp", given[0].cast(pa.timestamp("ns", "UTC"))), None, LIMITS)
    assert kept.values() == [0, 1, 4]


def test_wider_numbers_are_never_rounded(tmp_path: Path) -> None:
    """pandas has float64; a source of float32 keeps 0.5 as it is and grows wider for 0.1."""
    narrow = pa.schema([("value", pa.float32()), ("event_timestamp", pa.timestamp("us", "UTC"))])
    path = write(tmp_path / "rows.parquet", {"value": [0.5], "event_timestamp": [at(0)]}, narrow)
    kept = prepared(tmp_path / "other", "file")
    kept.source = type(kept.source)(name="rows", path=str(path), timestamp_field="event_timestamp")
    append(kept.source, table({"value": [0.25], "event_timestamp": [at(1)]}), None, LIMITS)
    assert kept.kind() == "float"
    append(kept.source, table({"value": [0.1], "event_timestamp": [at(1)]}), None, LIMITS)
    kept.merge()
    assert kept.values() == [0.1, 0.25, 0.5] and kept.kind() == "double"


def test_full_disk_leaves_the_source_as_it_was(kept: Rows) -> None:
    """A limit on the size of files does to a writer what a full disk does."""
    before = sorted(Path(kept.source.path).parent.rglob("*.parquet"))
    limits, told = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(BoxError, match="cannot write"):
            kept.add(*range(2, 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, told)
    found = sorted(Path(kept.source.path).parent.rglob("*.parquet*"))
    assert [file for file in found if file.is_file()] == before and kept.values() == [0, 1]


CRASH = """
import os, signal, sys
from pathlib import Path
from types import SimpleNamespace
import duckdb, pyarrow.parquet
import boxplat.features.offline.merge as merge
from boxplat.features.offline.compact import Table, merge as run

LIMITS = SimpleNamespace(memory_limit="256MB", threads=2, temp_directory=None, settings={})

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(*args):
    replace(*args)
    die()

def half(files):
    remove(list(files)[:1])
    die()

replace, remove = os.replace, merge.remove
for argument in sys.argv[1:]:
    path, moment = argument.split("|")
    child = os.fork()
    if child == 0:
        if moment == "removing":
            merge.remove = half
        else:
            os.replace = die if moment == "before" else after
        run(Table("rows", Path(path), "event_timestamp"), LIMITS)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, argument
"""


def test_killed_merge_leaves_every_row_once(tmp_path: Path) -> None:
    """kill -9 around the one step that counts; the next merge cleans up behind it."""
    sources = []
    for kind in ("file", "folder"):
        for moment in ("before", "after", "removing"):
            source = prepared(tmp_path / f"{kind}-{moment}", kind)
            source.add(2), source.add(3)
            sources.append((source, moment))
    arguments = [f"{source.source.path}|{moment}" for source, moment in sources]
    subprocess.run([sys.executable, "-c", CRASH, *arguments], check=True, timeout=300)
    for source, moment in sources:
        assert source.values() == [0, 1, 2, 3], moment
        source.add(4)
        assert source.values() == [0, 1, 2, 3, 4], moment
        source.merge()
        assert source.values() == [0, 1, 2, 3, 4], moment
        place = Path(source.source.path)
        left = data_files(place.with_name(place.name + ".parts")) if place.is_file() else data_files(place)
        assert len(left) == (0 if place.is_file() else 1), moment


def test_readers_see_every_row_once_while_others_add_and_merge(kept: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read is always all that was added before it, and never a row of an old and a new file together."""
    # The clock goes on while a busy machine runs neither thread.
    monkeypatch.setattr(plans, "_PATIENCE", 300.0)
    added, done, wrong = [2], threading.Event(), []

    def read() -> None:
        while not done.is_set():
            least = added[0]
            try:
                found = kept.values()
            except Exception as error:
                wrong.append(error)
                raise
            if len(set(found)) < len(found) or len(found) < least:
                wrong.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for value in range(2, 12):
            kept.add(value)
            added[0] += 1
            if value % 3 == 0:
                kept.merge()
    finally:
        done.set()
        reader.join()
    assert not wrong and kept.values() == list(range(12))


def test_only_one_merge_at_a_time(kept: Rows) -> None:
    import fcntl

    kept.add(2)
    kept.merge()
    place = Path(kept.source.path)
    lock = (place if place.is_dir() else place.with_name(place.name + ".parts")) / ".merge.lock"
    handle = os.open(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(BoxError, match="another merge"):
            kept.merge()
    finally:
        os.close(handle)
