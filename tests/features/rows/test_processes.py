"""Several processes at once: readers while a writer pushes and swaps, two writers, and a writer that is killed."""

from __future__ import annotations

import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boxplat.core.errors import BoxError
from boxplat.features.rows import Store
from boxplat.features.schema import Field, View

KEYS = np.arange(50)
VIEW = View("v", (Field("id", "INT64"),), (Field("n", "INT64"), Field("s", "STRING")))
WIDER = View("v", VIEW.keys, (*VIEW.fields, Field("more", "DOUBLE")))


def fork(work: Callable[[], object]) -> int:
    """The pid of a child that does `work`; its exit code is 0 unless that raised."""
    child = os.fork()
    if child:
        return child
    signal.alarm(600)
    code = 0
    try:
        work()
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def push(store: Store, keys: np.ndarray[Any, Any], event: int) -> int:
    count = len(keys)
    table = {"id": keys, "n": np.full(count, event), "s": [f"s{event}"] * count, "t": np.full(count, event)}
    more = {"more": [0.5] * count} if len(store.view("v").fields) == 3 else {}
    return store.push("v", table | more, "t")


def load(store: Store, event: int, partitions: int = 1) -> None:
    from boxplat.features.rows import partition_of

    parts = partition_of(VIEW, {"id": KEYS}, partitions)
    with store.load("v") as work:
        for number in range(partitions):
            keys = KEYS[parts == number]
            columns: list[tuple[str, Any]] = [("n", np.full(len(keys), event)), ("s", [f"s{event}"] * len(keys))]
            work.write(number, partitions, {"id": keys}, np.full(len(keys), event), None, columns)
        work.commit(event)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store(tmp_path / "store")
    store.define(VIEW)
    load(store, 1)
    return tmp_path / "store"


def test_readers_see_whole_rows_that_only_get_newer(folder: Path) -> None:
    """While pushes, loads of another number of partitions and a change of the schema go on."""
    stop = folder.parent / "stop"

    def read_on() -> None:
        store, last, ended = Store(folder), np.zeros(len(KEYS), np.int64), False
        while not ended:
            ended = stop.exists()
            rows = store.read("v", {"id": KEYS}, ["n", "s"])
            numbers, valid = rows.numpy("n")
            assert valid.all()
            assert (numbers == rows.event_us).all(), "a row of two halves"
            assert rows.python("s") == [f"s{number}" for number in numbers.tolist()]
            assert (numbers >= last).all(), "time went back"
            last = numbers
        assert (last == 150).all(), "the last push was not seen"

    readers = [fork(read_on) for _ in range(3)]
    store = Store(folder)
    for event in range(2, 151):
        if event == 80:
            store.define(WIDER)
        if event % 30 == 0:
            load(store, event, 1 + event % 4)
        else:
            push(store, KEYS[event % 7 :], event)
    push(store, KEYS, 150)
    stop.touch()
    assert [exit_code(reader) for reader in readers] == [0, 0, 0]


def test_what_a_killed_writer_was_told_is_there(folder: Path) -> None:
    """SIGKILL at random moments: every acknowledged push is read back, and at most one more."""
    random = np.random.default_rng(5)
    told = 1
    for _ in range(6):
        source, sink = os.pipe()

        def write_on(start: int = told, sink: int = sink) -> None:
            store = Store(folder)
            for event in range(start + 1, start + 100_000):
                push(store, KEYS, event)
                os.write(sink, event.to_bytes(8, "little"))

        writer = fork(write_on)
        os.close(sink)
        for _ in range(int(random.integers(1, 30))):
            told = int.from_bytes(os.read(source, 8), "little")
        time_to_die = time.monotonic() + random.uniform(0, 0.01)
        while time.monotonic() < time_to_die:
            pass
        os.kill(writer, signal.SIGKILL)
        assert exit_code(writer) == -9
        while more := os.read(source, 8):
            told = int.from_bytes(more, "little")
        os.close(source)
        found = Store(folder).read("v", {"id": KEYS}).python("n")
        assert set(found) in ({told}, {told + 1})
        told = found[0]


def test_two_writers_lose_nothing(folder: Path) -> None:
    def write(first: int) -> None:
        store = Store(folder, timeout_s=300)
        for event in range(2, 42):
            assert push(store, KEYS[first::2], event) == 25

    writers = [fork(lambda first=first: write(first)) for first in (0, 1)]  # type: ignore[misc]
    assert [exit_code(writer) for writer in writers] == [0, 0]
    assert Store(folder).read("v", {"id": KEYS}).python("n") == [41] * 50


def test_a_second_load_is_refused_by_the_pid_of_the_first_but_pushes_go_on(folder: Path) -> None:
    source, sink = os.pipe()
    done, finish = os.pipe()

    def hold() -> None:
        with Store(folder).load("v") as work:
            os.write(sink, b"x")
            os.read(done, 1)
            work.commit(9)

    holder = fork(hold)
    os.read(source, 1)
    store = Store(folder, timeout_s=0.05)
    with pytest.raises(BoxError) as caught, store.load("v"):
        pass
    assert f"process {holder}" in caught.value.why
    assert push(store, KEYS, 7) == 50
    os.write(finish, b"x")
    assert exit_code(holder) == 0
    assert store.read("v", {"id": KEYS}).python("n") == [7] * 50
    assert store.watermark_us("v") == 9


def test_a_view_dropped_while_it_is_read_is_gone_at_the_next_read(folder: Path) -> None:
    reader, writer = Store(folder), Store(folder)
    rows = reader.read("v", {"id": KEYS})
    writer.drop("v")
    assert rows.python("s") == ["s1"] * 50, "an answer keeps its files"
    with pytest.raises(BoxError) as caught:
        reader.read("v", {"id": KEYS})
    assert int(caught.value.code) == 9
    writer.define(VIEW)
    assert reader.read("v", {"id": KEYS}).status.tolist() == [3] * 50, "rows of the dropped view"


def test_an_answer_outlives_swaps_and_pushes(folder: Path) -> None:
    store = Store(folder)
    push(store, KEYS[:5], 2)
    rows = store.read("v", {"id": KEYS})
    for event in range(3, 60):
        push(store, KEYS, event)
    load(store, 100)
    assert rows.python("s") == ["s2"] * 5 + ["s1"] * 45


def test_a_long_log_is_folded_into_the_segments(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxplat.features.rows import snapshot

    monkeypatch.setattr(snapshot, "_FEWEST", 120)
    store, reader = Store(folder), Store(folder)
    for event in range(2, 8):
        push(store, KEYS, event)
        assert reader.read("v", {"id": KEYS}).python("n") == [event] * 50
    status = reader.status("v")
    assert status.pushed_rows < 120
    assert (status.rows, status.watermark_us) == (50, 1)
    assert len(list((folder / "v").glob("pushed-*"))) == 1
    assert len(list((folder / "v").glob("rows-*"))) == 1


def test_files_are_private(folder: Path) -> None:
    push(Store(folder), KEYS, 2)
    found = {oct(path.stat().st_mode & 0o777) for path in folder.rglob("*") if path.is_file()}
    assert found == {"0o600"}
    assert {oct(path.stat().st_mode & 0o777) for path in (folder, *folder.rglob("*")) if path.is_dir()} == {"0o700"}


def test_a_clock_that_goes_back_loses_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(folder)
    push(store, KEYS, 5)
    real = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: real() - 10**15)
    assert push(store, KEYS, 6) == 50
    load(store, 7)
    assert Store(folder).read("v", {"id": KEYS}).python("n") == [7] * 50


def test_a_store_that_was_removed_and_made_anew_is_read(folder: Path) -> None:
    """The reader's signal is then a file that nobody writes any more."""
    import shutil

    from boxplat.features.rows import live

    reader = Store(folder)
    assert reader.read("v", {"id": KEYS}).status.tolist() == [1] * 50
    shutil.rmtree(folder)
    writer = Store(folder)
    writer.define(VIEW)
    reader._live["v"]._looked_ns -= live._LOOK_AGAIN_NS
    assert reader.read("v", {"id": KEYS}).status.tolist() == [3] * 50
    push(writer, KEYS, 5)
    assert reader.read("v", {"id": KEYS}).python("n") == [5] * 50
