"""Workers on one socket: their shares, their deaths, and what becomes of the requests."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.serving.conftest import clean_environment
from tests.serving.load import Load, kill_at_work, under_load

TEAM = Path(__file__).with_name("team")
CLIENTS = 8


def until(what: str, condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds:g} s: {what}")


class Team:
    """A listening socket that outlives the parents of workers that are started on it."""

    def __init__(self, scratch: Path) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(256)
        self.port = int(self._socket.getsockname()[1])
        self._environment = clean_environment(scratch / "team")
        self.log = scratch / "log"
        self.crowd = scratch / "crowd"
        self.crowd.mkdir()
        self._parents: list[subprocess.Popen[bytes]] = []

    def start(self, workers: int, **more: str) -> subprocess.Popen[bytes]:
        descriptor = self._socket.fileno()
        flags = ["--fd", str(descriptor), "--workers", str(workers)]
        with self.log.open("ab") as log:
            argv = [sys.executable, "-m", "boxplat.serving.worker", "service:Team", *flags]
            env = self._environment | more
            parent = subprocess.Popen(argv, cwd=TEAM, env=env, pass_fds=[descriptor], stdout=log, stderr=log)
        self._parents.append(parent)
        return parent

    def ask(self, path: str = "/who", body: bytes | None = b"{}", timeout: float = 60) -> bytes:
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", body, kind)
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return bytes(response.read())

    def close(self) -> None:
        self._socket.close()
        for parent in self._parents:
            for process in workers_of(parent) if parent.poll() is None else []:
                process.kill()
            parent.kill()
            parent.wait()


def workers_of(parent: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(parent.pid).children()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    found = Team(tmp_path_factory.mktemp("team"))
    yield found
    found.close()


@pytest.fixture(scope="module")
def parent(team: Team) -> subprocess.Popen[bytes]:
    """Two workers; on the way there nothing was answered before both had started."""
    found = team.start(2, CROWD=str(team.crowd))
    until("both have come", lambda: len(list(team.crowd.glob("came-*"))) == 2)
    (team.crowd / "go-1").touch()
    until("the first has started", lambda: b"team:1] Service team initialized" in team.log.read_bytes())
    with pytest.raises(TimeoutError):
        team.ask(timeout=0.5)
    (team.crowd / "go-2").touch()
    assert json.loads(team.ask())["worker"] in (1, 2)
    return found


@pytest.mark.integration
def test_connections_and_counters_are_shared(team: Team, parent: subprocess.Popen[bytes]) -> None:
    fewest: list[int] = []
    answered = 0
    # Not each time: a worker that does something for the first time, or does not run just then, takes no share.
    while len(fewest) < 3 or (max(fewest) < CLIENTS // 4 and len(fewest) < 20):
        with under_load(Load(team.port, "/tally"), CLIENTS) as load:
            until("answers", lambda: sum(load.answered.values()) > 200)
        assert not load.failed and set(load.statuses) == {200}
        fewest.append(min(load.connected[worker.pid] for worker in workers_of(parent)))
        answered += load.statuses[200]
    assert max(fewest) >= CLIENTS // 4, "a worker took nearly everything"
    until("the counters of both add up", lambda: counted(team, "/tally") == answered)


def counted(team: Team, path: str) -> float:
    lines = team.ask("/metrics", None).decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if "request_total{" in line and f'endpoint="{path}"' in line)


@pytest.mark.integration
def test_only_what_was_in_flight_dies_with_a_worker(team: Team, parent: subprocess.Popen[bytes]) -> None:
    victim, survivor = old = workers_of(parent)
    number, before = number_of(victim), counted(team, "/tally")
    # One that does not run just when the clients come leaves them all to the other, for as long as they stay.
    with under_load(Load(team.port, body=b'{"milliseconds": 5}', each=20), CLIENTS) as load:
        until("both have a share", lambda: min(load.held[victim.pid], load.held[survivor.pid]) > 1)
        load.each = 0
        until("both work", lambda: min(load.answered[victim.pid], load.answered[survivor.pid]) > 20)
        in_flight = kill_at_work(victim, team.port)
        new = until("another one", lambda: next((one for one in workers_of(parent) if one not in old), None))
        # The survivor has all of these connections now; those that come are for the new one.
        until("it answers", lambda: json.loads(team.ask())["pid"] == new.pid)
    assert in_flight and {failed.port for failed in load.failed} <= in_flight
    assert len(load.failed) <= len(in_flight) and set(load.statuses) == {200}
    assert number_of(new) == number
    assert counted(team, "/tally") == before, "what the dead worker counted is lost"
    assert f"(pid {victim.pid}) ended with status -9" in team.log.read_text()
    assert (team.crowd / "prepared").read_text() == "once.", "what is done once is not done again by a new worker"


def number_of(worker: psutil.Process) -> str:
    return worker.cmdline()[-1].split(":")[0]


@pytest.mark.integration
def test_nothing_fails_when_the_server_is_replaced(team: Team, parent: subprocess.Popen[bytes]) -> None:
    """First by one worker, so that both ways of ending and starting are met, then by several again."""
    with under_load(Load(team.port), CLIENTS) as load:
        single = replaced(team, load, parent, 1)
        several = replaced(team, load, single, 2)
        new = until("both have started", lambda: len(pids := {one.pid for one in workers_of(several)}) == 2 and pids)
        load.each = 20
        until("both new workers answer", lambda: new <= set(load.answered))
    assert not load.failed and set(load.statuses) == {200}


def replaced(team: Team, load: Load, old: subprocess.Popen[bytes], workers: int) -> subprocess.Popen[bytes]:
    """What the supervisor does when it deploys: the old ones end, new ones start, and the socket stays open."""
    before = sum(load.answered.values())
    until("answers", lambda: sum(load.answered.values()) > before + 50)
    old.terminate()
    assert old.wait(60) == -signal.SIGTERM
    return team.start(workers)


@pytest.mark.integration
def test_workers_die_with_their_parent(team: Team) -> None:
    """Even when it is killed; and what waits at the socket is answered by the next."""
    parent = team.start(2)
    workers = until("workers", lambda: len(workers_of(parent)) == 2 and workers_of(parent))
    assert json.loads(team.ask())
    parent.kill()
    gone, alive = psutil.wait_procs(workers, 60)
    assert len(gone) == 2 and not alive
    team.start(2)
    assert json.loads(team.ask())["pid"] not in {worker.pid for worker in workers}


RESTLESS = '''
import os, sys
from pathlib import Path
import boxplat.core.backoff
import boxplat.serving.team.workers
from boxplat.serving.team.workers import Workers
boxplat.core.backoff.FIRST_SECONDS = 0.001
boxplat.serving.team.workers.LOOK_SECONDS = 0.01
worker = """
import os, sys
from boxplat.serving.team.member import Member
from boxplat.serving.team.table import Table
member = Member.of(sys.argv[1])
member.has_started()
os.read(member.gate, 1)
"""
ends = {ends!r}

def command(member):
    code = "raise SystemExit(5)" if ends == "at once" else worker
    code += "sys.exit(7)" if ends == "later" else ""
    code += "Table(member.table).beat(member.worker); os.read(os.pipe()[0], 1)" if ends == "stuck" else ""
    return [sys.executable, "-c", code, member.flag()]

sys.exit(Workers(command, 2, 0, Path(os.getcwd()), 5).run())
'''


@pytest.mark.parametrize(
    ("ends", "status", "deaths"), [("later", 7, range(6, 12)), ("at once", 5, range(1, 3)), ("stuck", 1, range(6, 12))]
)
def test_gives_up_when_workers_keep_dying(tmp_path: Path, ends: str, status: int, deaths: range) -> None:
    """After six deaths in a row of one of the two, or at once when they never started: the supervisor must see it.

    One whose event loop does not turn any more is killed.
    """
    code = RESTLESS.format(ends=ends)
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert ended.returncode == status, ended.stderr
    assert ended.stdout.count("ended with status") in deaths
    assert ("giving up" in ended.stdout) == (ends != "at once")
    assert ("answers nothing: killing it" in ended.stdout) == (ends == "stuck")
