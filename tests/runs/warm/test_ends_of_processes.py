"""Nothing is lost or left behind when one of the processes is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from boxplat.core import processes
from tests.runs.conftest import PATIENCE, until
from tests.runs.warm.runs import FLOWS, environment, records

pytestmark = pytest.mark.integration


class Held:
    """A warm run whose two tasks wait; `boxed` runs are known by the spool in their environment."""

    def __init__(self, folder: Path, boxed: bool = True) -> None:
        self.folder = folder
        env = environment(folder, warm=True)
        if not boxed:
            del env["BOXPLAT_SPOOL"]
        command = [sys.executable, "held.py", "--no-pylint", "run", "--folder", str(folder)]
        self.process = subprocess.Popen(
            command,
            cwd=FLOWS,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=(folder / "out").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        pids = [until(lambda n=n: self._pids(n), f"task {n} runs") for n in (0, 1)]
        self.tasks = [pid for pid, _ in pids]
        self.server = pids[0][1]

    def _pids(self, number: int) -> tuple[int, int] | None:
        try:
            task, parent = (self.folder / f"pid.{number}").read_text().split()
        except FileNotFoundError:
            return None
        return int(task), int(parent)

    def go(self) -> None:
        (self.folder / "go").touch()

    def done(self) -> bool:
        return all((self.folder / f"done.{number}").exists() for number in (0, 1))

    def left(self) -> list[int]:
        """Whoever of the run still lives."""
        return list(processes.marked(self.folder / "spool.jsonl", "BOXPLAT_SPOOL"))


@pytest.fixture
def held(tmp_path: Path) -> Iterator[Held]:
    one = Held(tmp_path)
    yield one
    processes.signal_all(one.left(), signal.SIGKILL)
    one.process.kill()
    one.process.wait(60)


def test_tasks_of_a_killed_server_are_tried_again_cold(held: Held) -> None:
    os.kill(held.server, signal.SIGKILL)
    until(lambda: not any(psutil.pid_exists(pid) for pid in held.tasks), "the tasks died with their server")
    held.go()
    assert held.process.wait(PATIENCE) == 0, (held.folder / "out").read_text()
    why = {record["why"] for record in records(held.folder) if record["kind"] == "cold"}
    assert len(why) >= 1
    assert all("server of warm tasks" in text for text in why)
    until(lambda: not held.left(), "nothing is left")


def test_tasks_of_a_killed_scheduler_end_as_orphans_do(held: Held) -> None:
    held.process.kill()
    held.process.wait(60)
    held.go()
    until(held.done, "the orphans did their work")
    until(lambda: not held.left(), "nothing is left")


def test_an_interrupted_run_leaves_nothing(held: Held) -> None:
    os.killpg(held.process.pid, signal.SIGINT)
    assert held.process.wait(PATIENCE) != 0
    until(lambda: not held.left(), "nothing is left")


def test_the_servers_end_is_that_of_its_tasks_outside_a_box(tmp_path: Path) -> None:
    # Metaflow's Runner ends a run by pkill -TERM -P, which reaches the server only; a box tells every process.
    held = Held(tmp_path, boxed=False)
    server, tasks = psutil.Process(held.server), [psutil.Process(pid) for pid in held.tasks]
    server.terminate()
    held.process.terminate()
    held.process.wait(PATIENCE)
    assert psutil.wait_procs([server, *tasks], PATIENCE)[1] == []
