"""The journal's promises to the server: bounded, sampled by id, and every record that it took is in the log."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.serving.log import journal as journals
from boxplat.serving.log import retention, writer
from boxplat.serving.log.journal import OVERHEAD, Journal
from boxplat.serving.log.telling import teller
from boxplat.serving.settings import Settings
from tests.serving.log.logs import Told, ask, compacted, full_disk, journal, numbers, rows

GOLDEN = 0x9E3779B97F4A7C15


def test_memory_is_bounded_and_what_has_no_room_is_counted(tmp_path: Path) -> None:
    told = Told()
    log = journal(tmp_path / "log", told, memory=100 * (OVERHEAD + 5))
    for number in range(250):
        ask(log, number)
    assert log.dropped == 150 and log.flush()
    log._writer.tend(log.dropped)
    for number in range(250, 300):
        ask(log, number)
    assert log.dropped == 150 and log.flush()
    assert numbers(tmp_path / "log") == [*range(100), *range(250, 300)]
    assert told == [("log.dropped", {"records": 150, "in_all": 150})]


def test_what_a_stuck_disk_does_not_take_is_lost_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log, free = journal(tmp_path / "log"), threading.Event()
    write = log._writer.write
    monkeypatch.setattr(journals, "STOP_SECONDS", 0.1)
    monkeypatch.setattr(log._writer, "write", lambda notes: free.wait(60) and write(notes))
    log.start()
    for number in range(7):
        ask(log, number)
    log.stop()
    free.set()
    said = capsys.readouterr().err
    assert said.startswith("log.lost {'records': 7") and "within 0.1 s" in said


def test_annotations_count_as_memory(tmp_path: Path) -> None:
    from boxplat.serving import annotate

    log = journal(tmp_path / "log", memory=100_000)
    for number in range(3):
        ask(log, number, say=lambda: annotate(rows=3000, features={"a": [0.0] * 3000}))
    assert log.dropped == 3


def test_large_records_are_written_a_few_at_a_time(tmp_path: Path) -> None:
    """A frame of a thousand of them would take long to make, and need room that a nearly full disk has for some."""
    from boxplat.serving.log import frames

    log = journal(tmp_path / "log", body=2**20)
    for number in range(30):
        ask(log, number, b"x" * (300_000 if number < 20 else 3_000_000 if number == 20 else 10))
    assert log.flush()
    (spool,) = (tmp_path / "log").glob("*.spool")
    with spool.open("rb") as file:
        file.readline()
        assert [frame.rows for frame in frames.decode(file)] == [6, 6, 6, 2, 1, 9]
    assert numbers(tmp_path / "log") == list(range(30))


def test_a_small_log_stays_small(tmp_path: Path) -> None:
    """Spools are ended early enough for the limit to be kept by deleting whole files."""
    folder = tmp_path / "log"
    log = journal(folder, mib=4)
    for number in range(200):
        ask(log, number, os.urandom(30_000).hex().encode())
        assert log.flush()
    assert len(list(folder.glob("*.spool"))) > 8
    retention.enforce(folder, days=0, mib=4)
    assert 3 * 2**20 <= sum(path.stat().st_size for path in folder.iterdir()) <= 4 * 2**20
    assert numbers(folder) == list(range(200 - len(numbers(folder)), 200))


def test_a_folder_that_cannot_be_made_stops_the_log_and_not_the_endpoint(tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "log").write_text("a file in its place")
    log = journal(tmp_path / "log", told)
    ask(log, 1)
    assert not log.flush() and not log.flush() and told.kinds() == ["log.stopped"]
    assert log._writer.pause == 2.0
    (tmp_path / "log").unlink()
    ask(log, 2)
    assert log.flush() and told.kinds() == ["log.stopped", "log.resumed"]
    assert numbers(tmp_path / "log") == [1, 2]


def test_a_full_disk_ends_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the records nor the reason, nor the metrics, can be written; then they can."""
    folder = tmp_path / "log"
    folder.write_text("a file in its place")
    monkeypatch.setattr(writer, "FIRST_PAUSE", 0.01)
    measured: list[int] = []

    def measure(*_: object) -> None:
        measured.append(1)
        raise OSError(28, "No space left on device")

    log = Journal(folder, measure=measure)
    with full_disk() as nowhere, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", nowhere)
        ask(log, 2**64)
        log.start()
        thread = log._thread
        assert thread is not None
        while not measured:
            assert thread.is_alive()
        folder.unlink()
        while not log._writer.records:
            if not log._notes:
                ask(log, 1)
            assert thread.is_alive()
            thread.join(0.01)
        log.stop()
    assert set(numbers(folder)) == {1} and measured == [1]


def test_what_cannot_be_written_at_the_end_is_said_to_be_lost(tmp_path: Path) -> None:
    told = Told()
    (tmp_path / "log").write_text("a file in its place")
    log = journal(tmp_path / "log", told)
    log.start()
    for number in range(3):
        ask(log, number)
    log.stop()
    assert told[-1] == ("log.lost", {"records": 3})


def test_a_deleted_folder_is_made_again(tmp_path: Path) -> None:
    log = journal(tmp_path / "log")
    ask(log, 1)
    assert log.flush()
    for path in (tmp_path / "log").iterdir():
        path.unlink()
    (tmp_path / "log").rmdir()
    ask(log, 2)
    assert not log.flush() and log.flush()
    assert numbers(tmp_path / "log") == [2]


def test_a_record_that_cannot_be_written_does_not_stop_the_log(tmp_path: Path) -> None:
    told = Told()
    log = journal(tmp_path / "log", told)
    ask(log, 2**64)
    assert log.flush()
    ask(log, 1)
    assert log.flush() and numbers(tmp_path / "log") == [1] and told.kinds() == ["log.lost"]


def test_the_sample_depends_on_nothing_but_the_id(tmp_path: Path) -> None:
    """Two releases that see the same requests log the same ones; every larger sample holds every smaller one."""
    kept = {}
    for name, share in (("a", 0.25), ("b", 0.25), ("half", 0.5), ("none", 0.0)):
        log = journal(tmp_path / name, sample=share)
        for number in range(4000):
            ask(log, number)
            ask(log, f"given-{number}")
        log.flush()
        kept[name] = {row["id"] for row in rows(tmp_path / name)} if share else set()
    assert kept["a"] == kept["b"] < kept["half"] and not kept["none"]
    assert 1800 < len(kept["a"]) < 2200


def test_the_workers_settings_make_the_log(tmp_path: Path) -> None:
    environ = {"BOXPLAT_ENDPOINT": "delay", "BOXPLAT_RELEASE": "12", "BOXPLAT_MODEL_URI": "models:/delay/3"}
    assert journals.of(Settings(), environ) is None
    assert journals.of(Settings(log=tmp_path, log_sample=0.0), environ) is None
    log = journals.of(Settings(log=tmp_path / "log"), environ)
    assert log is not None
    ask(log, 7)
    log.start()
    while not REGISTRY.get_sample_value("boxplat_prediction_log_records_total"):
        pass
    log.stop()
    (row,) = rows(tmp_path / "log")
    assert (row["endpoint"], row["release"], row["model_version"]) == ("delay", 12, "3")


def test_trouble_becomes_an_event_of_the_box(state: StateStore, project: Path) -> None:
    tell = teller({"BOXPLAT_PROJECT": str(project), "BOXPLAT_ENDPOINT": "delay"})
    tell("log.stopped", {"why": "No space left on device"})
    (event,) = StateStore.open(Paths(project)).events.all(subject="delay")
    assert (event.kind, event.data) == ("log.stopped", {"why": "No space left on device"})


def test_an_event_that_cannot_be_recorded_comes_with_the_next(project: Path) -> None:
    tell = teller({"BOXPLAT_PROJECT": str(project), "BOXPLAT_ENDPOINT": "delay"})
    (project / ".box").write_text("a file in the state's place")
    tell("log.stopped", {})
    (project / ".box").unlink()
    tell("log.resumed", {})
    events = StateStore.open(Paths(project)).events.all(subject="delay")
    assert [event.kind for event in events] == ["log.stopped", "log.resumed"]


@pytest.mark.parametrize("share", [1.0, 0.1])
def test_a_million_replayed(tmp_path: Path, share: float) -> None:
    """Rows equal requests answered, each with its own values, in memory that does not grow with them."""
    log = journal(tmp_path / "log", sample=share)
    count, before = 1_000_000, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        log.note(number, number * 1000, 5, "predict", 200, 1, b'{"x":%d}' % number, b"[%d]" % (number % 7))
        if number % 20_000 == 19_999:
            assert log.flush()
    log._writer.end(0, log.dropped)
    assert log.dropped == 0 and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024
    expected = [n for n in range(count) if share == 1 or (n * GOLDEN & (2**64 - 1)) < int(share * 2**64)]
    from boxplat.serving.log.reading import query

    checked = """select count(*) n, count(distinct id) ids, sum((input->>'x')::bigint) total,
        count(*) filter (input->>'x' = epoch_us(time)::varchar and output = '[' || (input->>'x')::bigint % 7 || ']'
        and id = lpad(lower(hex((input->>'x')::ubigint)), 16, '0')) good from predictions"""
    for _ in range(2):
        (found,) = query(tmp_path / "log", checked).to_pylist()
        n = len(expected)
        assert (found["n"], found["ids"], found["good"], found["total"]) == (n, n, n, sum(expected))
        compacted(tmp_path / "log")
