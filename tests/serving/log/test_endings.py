"""How a worker ends, and what is in its log then."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from boxplat.serving.log.compact import compact
from tests.serving.log.logs import compacted, numbers


@contextmanager
def worker(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.serving.log.writing", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_sigterm_loses_nothing(tmp_path: Path) -> None:
    with worker(tmp_path / "log") as process:
        while said(process) < "1":
            pass
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=240)
    noted = int(rest.split()[-1])
    assert process.returncode == 0 and noted > 0
    assert numbers(tmp_path / "log") == list(range(noted))


@pytest.mark.parametrize("size", [1, 100_000, 1_500_000])
def test_kill_loses_only_the_end(tmp_path: Path, size: int) -> None:
    """Killed when its spool has reached a size: everything until then is there, nothing twice, nothing in between
    missing, before compaction and after."""
    folder = tmp_path / "log"
    with worker(folder) as process:
        seen = 0
        while seen < size:
            noted = int(said(process))
            seen = sum(path.stat().st_size for path in folder.glob("*.spool")) if folder.exists() else 0
        # On disk before the kill: at least this many of 103 bytes and 80 of numbers. A spool begins without records.
        while not (before := numbers(folder)):
            pass
        process.kill()
        process.wait()
    found = numbers(folder)
    assert found == list(range(len(found))) and len(found) >= len(before) and noted > 0
    compacted(folder)
    assert numbers(folder) == found


def test_many_workers_and_one_that_takes_over(tmp_path: Path) -> None:
    """Each has a spool of its own; those of the dead are the next one's to compact, those of the living are not."""
    folder = tmp_path / "log"
    with worker(folder) as first, worker(folder) as second:
        while sum(path.stat().st_size > 5000 for path in folder.glob("*.spool")) < 2:
            said(first)
            said(second)
        first.kill()
        first.wait()
        # Whoever holds the lock of the compaction, a child of either or we, does it. The spool goes last.
        while not list(folder.glob("*.parquet")) or len(list(folder.glob("*.spool"))) > 1:
            compact(folder)
        assert len(list(folder.glob("*.spool"))) == 1
        second.send_signal(signal.SIGTERM)
        rest, _ = second.communicate(timeout=240)
    found = numbers(folder)
    expected = list(range(int(rest.split()[-1])))
    # Both count from 0.
    assert sorted(set(found)) == list(range(max(found) + 1)) and all(found.count(one) <= 2 for one in (0, max(found)))
    assert set(expected) <= set(found)


def test_a_full_disk_stops_the_log_and_it_goes_on_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with worker(folder, "300000") as process:
        events: list[str] = []
        while events[-1:] != ["log.resumed"]:
            line = said(process)
            events += [line] if line.startswith("log.") else []
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=240)
    assert events == ["log.stopped", "log.resumed"] and "log." not in rest
    assert numbers(folder) == list(range(int(rest.split()[-1])))
