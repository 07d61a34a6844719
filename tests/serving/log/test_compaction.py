"""Compaction, killed wherever it can be killed; damaged spools; what old files do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest

from boxplat.serving import annotate
from boxplat.serving.log import reading, records, retention, saying
from boxplat.serving.log.compact import compact
from tests.serving.log.logs import NOW, ask, compacted, full_disk, journal, numbers, rows

# Run beside Arrow in one process, each attempt in a fork of it: killed before the Nth call into the kernel.
_KILLING = """
import os, shutil, signal, sys
from pathlib import Path
from boxplat.serving.log.compact import compact

def killed_at(nth):
    left = nth
    def count(frame, event, called):
        nonlocal left
        if event in ("c_call", "c_return") and getattr(called, "__module__", "") in ("posix", "fcntl"):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
    return count

full, work = Path(sys.argv[1]), Path(sys.argv[2])
compact(shutil.copytree(full, work / "warm"))
nth = 0
while True:
    nth += 1
    folder = shutil.copytree(full, work / str(nth))
    child = os.fork()
    if not child:
        sys.setprofile(killed_at(nth))
        compact(folder)
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        print(nth)
        break
"""


def filled(folder: Path, count: int = 2500) -> None:
    log = journal(folder)
    for number in range(count):
        ask(log, number)
    log.flush()
    log._writer.end(0, 0)


def test_killed_between_any_two_calls_of_the_kernel(tmp_path: Path) -> None:
    """No row is lost and none is there twice, for a reader then and after the work was finished by the next."""
    filled(tmp_path / "log", 40)
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", _KILLING, str(tmp_path / "log"), str(tmp_path / "work")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    stops = int(done.stdout)
    assert stops > 40
    both = 0
    for folder in sorted((tmp_path / "work").iterdir()):
        both += len(list(folder.glob("*.spool"))) + len(list(folder.glob("*.parquet"))) == 2
        assert numbers(folder) == list(range(40)), folder.name
        compact(folder)
        names = [path.suffix for path in folder.iterdir() if path.name != ".compact.lock"]
        assert names == [".parquet"] and numbers(folder) == list(range(40))
    # Some of them died where the file was there and the spool was too.
    assert both > 0


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.999])
def test_a_cut_spool_keeps_what_is_whole(tmp_path: Path, share: float) -> None:
    folder = tmp_path / "log"
    filled(folder)
    (spool,) = folder.glob("*.spool")
    os.truncate(spool, int(share * spool.stat().st_size))
    found = numbers(folder)
    assert found == list(range(len(found))) and len(found) % 1000 in (0, 500) and len(found) < 2500
    compacted(folder)
    assert numbers(folder) == found


def test_damage_is_noticed(tmp_path: Path) -> None:
    """A changed byte ends what is believed of a spool; it never gives rows that nobody wrote."""
    folder = tmp_path / "log"
    filled(folder)
    (spool,) = folder.glob("*.spool")
    whole = spool.read_bytes()
    start = whole.index(b"\n") + 1
    for at in [*range(start, start + 40), len(whole) // 2, len(whole) - 1]:
        spool.write_bytes(whole[:at] + bytes([whole[at] ^ 0x40]) + whole[at + 1 :])
        found = numbers(folder)
        assert found == list(range(len(found))) and len(found) < 2500, at


def test_a_full_disk_during_compaction_leaves_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    folder = tmp_path / "log"
    filled(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(pq.ParquetWriter, "write_table", full)
        compact(folder)
    assert [path.suffix for path in folder.glob("[!.]*")] == [".spool"] and not list(folder.glob(".*.part"))
    compacted(folder)
    assert len(numbers(folder)) == 2500


_ODD = [
    b'[{"rows":2,"keys":{"carrier":"UA"}}]',
    b'[{"rows":null,"keys":7}]',
    b'[{"rows":2,"prediction":[1]}]',
    b"[7]",
    b"no JSON",
]


@pytest.mark.parametrize("odd", _ODD)
def test_an_annotation_that_cannot_be_read_costs_no_other_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: bytes
) -> None:
    """As those that were written before texts were refused as columns."""
    folder = tmp_path / "log"
    log = journal(folder)
    ask(log, 0)
    with monkeypatch.context() as patched:
        patched.setattr(saying, "text", lambda slip: odd)
        ask(log, 1, say=lambda: annotate(model_version="3"))
        ask(log, 2)
        assert log.flush()
    log._writer.end(0, 0)
    for _ in range(2):
        assert [row["problem"] is not None for row in rows(folder)] == [True] * 3
        compacted(folder)
    assert numbers(folder) == [0, 1, 2] and not list(folder.glob("*.bad"))


def test_a_spool_that_cannot_be_read_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong with it, and though nobody can be told."""
    folder = tmp_path / "log"
    filled(folder, 1)
    filled(folder, 1)
    first, second = sorted(folder.glob("*.spool"))
    read = records.tables
    spools = iter([first])

    def tables(file: BinaryIO) -> Iterator[object]:
        if next(spools, None):
            raise AttributeError("of nobody's")
        return read(file)

    monkeypatch.setattr(records, "tables", tables)
    with full_disk() as nowhere, monkeypatch.context() as patched:
        patched.setattr("sys.stderr", nowhere)
        assert compact(folder) == 1
    assert first.with_suffix(".bad").exists() and second.with_suffix(".parquet").exists()


def test_a_forked_process_keeps_no_spool(tmp_path: Path) -> None:
    """It has a copy of the descriptor, and with it the lock."""
    log = journal(tmp_path / "log")
    ask(log, 1)
    assert log.flush() and log._writer._spool is not None
    copied = os.dup(log._writer._spool._file)
    log._writer.end(0, 0)
    assert compact(tmp_path / "log") == 1
    os.close(copied)


def test_files_are_private(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    filled(folder, 10)
    modes = {path.stat().st_mode & 0o777 for path in folder.iterdir()} | {folder.stat().st_mode & 0o077}
    compacted(folder)
    modes |= {path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert modes == {0o600, 0}


def _aged(folder: Path, days: list[float]) -> list[Path]:
    """Compacted files whose records are so old, the oldest name first."""
    folder.mkdir()
    made = []
    for i, age in enumerate(days):
        filled(folder / str(i), 1000)
        compacted(folder / str(i))
        (file,) = (folder / str(i)).glob("*.parquet")
        made.append(file.rename(folder / f"{i:013d}-1-aa.parquet"))
        os.utime(made[-1], (time.time() - age * 86_400,) * 2)
    for i in range(len(days)):
        (folder / str(i) / ".compact.lock").unlink()
        (folder / str(i)).rmdir()
    return made


def test_old_files_go_by_age(tmp_path: Path) -> None:
    files = _aged(tmp_path / "log", [9, 7.5, 6.5, 0])
    assert retention.enforce(tmp_path / "log", days=7, mib=0) == files[:2]
    assert retention.enforce(tmp_path / "log", days=0, mib=0) == []
    assert [path.exists() for path in files] == [False, False, True, True]


def test_the_oldest_go_until_the_rest_fits(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    files = _aged(folder, [3, 2, 1])
    for file in files:
        with file.open("ab") as grown:
            grown.truncate(2**20)
    live = journal(folder)
    ask(live, 1)
    live.flush()
    # Three of a MiB and a small one that is being written to, which is never deleted.
    assert retention.enforce(folder, days=0, mib=2) == files[:2]
    assert retention.enforce(folder, days=0, mib=1) == files[2:]
    assert numbers(folder) == [1]


def test_a_reader_sees_nothing_of_a_file_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted between being listed and being read, as retention may do at any time."""
    folder = tmp_path / "log"
    files = _aged(folder, [3, 2])
    listed = reading._content
    calls = []

    def then_deleted(*args: object) -> object:
        found = listed(*args)  # type: ignore[arg-type]
        calls.append(found)
        files[0].unlink(missing_ok=True)
        return found

    monkeypatch.setattr(reading, "_content", then_deleted)
    assert len(numbers(folder)) == 1000 and len(calls) == 2


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reader_meets_a_spool_that_becomes_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    folder, whole = tmp_path / "log", records.load
    filled(folder, 10)

    def load(path: Path) -> object:
        if when == "before":
            compacted(folder)
        found = whole(path)
        compacted(folder)
        return found

    monkeypatch.setattr(records, "load", load)
    assert numbers(folder) == list(range(10))


def test_since_leaves_out_whole_files_and_rows(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    filled(folder, 100)
    middle = datetime.fromtimestamp((NOW // 1000 + 50) / 1e6, UTC)
    for _ in range(2):
        assert [int(row["id"], 16) for row in rows(folder, since=middle)] == list(range(50, 100))
        assert [int(row["id"], 16) for row in rows(folder, until=middle, limit=3)] == [47, 48, 49]
        compacted(folder)


def test_a_time_without_a_zone_is_utc_for_files_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hours west of Greenwich a file of now would be older than an hour ago."""
    folder = tmp_path / "log"
    filled(folder, 10)
    compacted(folder)
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Etc/GMT+5")
        time.tzset()
        recent = datetime.fromtimestamp(NOW / 1e9 - 3600, UTC).replace(tzinfo=None)
        found = [rows(folder, since=recent), rows(folder, since=recent + timedelta(hours=2))]
    time.tzset()
    assert [len(one) for one in found] == [10, 0]
