"""The supervisor as a process: order, restarts, crash loops, take-over, ports, and nothing left behind.

The settings switch tracking off by pointing at small servers of the test's own: these tests are about processes.
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from boxplat.core import processes
from boxplat.core.model import RunState, Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.supervisor.lock import holder
from tests.conftest import run_box

pytestmark = pytest.mark.integration
SERVER = Path(__file__).with_name("server.py")


class Rig:
    """A supervisor over services of the test's own, without the tracking server."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.state = StateStore.open(self.paths)
        self.supervisors: list[subprocess.Popen[bytes]] = []

    def declare(self, name: str, *options: str, listen: bool = True, **fields: Any) -> None:
        place = ("--fd", "${self.fd}") if listen else ("--port", "${self.port}")
        command = ("${box.python}", str(SERVER), *place, *options)
        settings = {"start_seconds": 90.0, "stop_seconds": 3.0, **fields}
        self.state.services.declare(Service(name, command, listen=listen, **settings), True, "test")

    def start(self) -> None:
        program = (
            "import os\nfrom pathlib import Path\nfrom boxplat.core.config import Config\n"
            "from boxplat.core.paths import Paths\nfrom boxplat.core.state import StateStore\n"
            "from boxplat.lifecycle import run_here\n"
            f"paths = Paths(Path({str(self.paths.root)!r}))\nrun_here(paths, Config(), StateStore.open(paths))\n"
        )
        self.state.meta.set("box.wanted", "up")
        self.supervisors.append(subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL))
        until(lambda: (there := holder(self.paths)) is not None and there.pid == self.supervisors[-1].pid)

    def kill_supervisor(self) -> None:
        self.supervisors[-1].send_signal(signal.SIGKILL)
        self.supervisors[-1].wait()

    def status(self, name: str) -> Any:
        return next(row for row in self.state.services.all() if row.name == name)

    def until_state(self, name: str, state: State) -> Any:
        def reached() -> Any:
            row = self.status(name)
            return row if row.state is state else None

        return until(reached, lambda: f"{name}: {self.status(name)}")

    def get(self, name: str, path: str = "/", seconds: float = 90) -> str:
        with urllib.request.urlopen(f"{self.status(name).url}{path}", timeout=seconds) as answer:
            return str(answer.read().decode())

    def down(self) -> None:
        run_box(self.paths.root, "down")
        for supervisor in self.supervisors:
            supervisor.wait(90)


def until(true: Callable[[], Any], say: Callable[[], str] = lambda: "", seconds: float = 120) -> Any:
    """Wait for what is true; returns it."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not (found := true()):
        assert time.monotonic() < deadline, f"not within {seconds} s. {say()}"
        pause.wait(0.02)
    return found


@pytest.fixture
def rig(project: Path) -> Iterator[Rig]:
    made = Rig(project)
    yield made
    made.down()
    assert processes.marked(made.paths.state) == [], "a process of the box was left"


def kinds(rig: Rig, subject: str) -> list[str]:
    return [event.kind for event in rig.state.events.all(subject=subject)]


def test_a_service_starts_after_what_it_refers_to_and_stops_before_it(rig: Rig) -> None:
    rig.declare("base", listen=False)
    rig.declare("front", env={"PEER": "${base.url}"})
    rig.start()
    rig.until_state("front", State.RUNNING)
    assert rig.get("front").split()[1] == rig.status("base").url
    rig.down()
    order = [(event.subject, event.kind) for event in rig.state.events.all()]
    assert order.index(("base", "service.healthy")) < order.index(("front", "service.started"))
    assert order.index(("front", "service.stopped")) < order.index(("base", "service.stopping"))


def test_a_killed_service_comes_back_and_the_next_request_waits(rig: Rig) -> None:
    rig.declare("web")
    rig.start()
    first = rig.until_state("web", State.RUNNING)
    os.kill(first.pid, signal.SIGKILL)
    assert rig.get("web").split()[0] != str(first.pid)
    assert rig.until_state("web", State.RUNNING).restarts == 1


def test_requests_during_a_restart_all_succeed(rig: Rig) -> None:
    rig.declare("web")
    rig.start()
    first = rig.until_state("web", State.RUNNING)
    answers: list[str] = []
    failed: list[Exception] = []
    stop = threading.Event()

    def ask() -> None:
        # Not with `rig.get`: between the two processes the state names no address.
        connection = http.client.HTTPConnection("127.0.0.1", first.port, timeout=90)
        try:
            connection.request("GET", "/")
            answers.append(connection.getresponse().read().decode().split()[0])
        except (ConnectionResetError, BrokenPipeError, http.client.IncompleteRead):
            # One that the old process was answering as it ended.
            pass
        finally:
            connection.close()

    def ask_on() -> None:
        while not stop.is_set() and not failed:
            try:
                ask()
            except Exception as error:
                failed.append(error)

    asking = threading.Thread(target=ask_on)
    asking.start()
    until(lambda: answers)
    rig.state.services.restart("web", "test")
    until(lambda: rig.status("web").pid not in (first.pid, None) and rig.status("web").state is State.RUNNING)
    stop.set()
    asking.join()
    assert failed == []
    answers.append(rig.get("web").split()[0])
    assert {answers[0], answers[-1]} == {str(first.pid), str(rig.status("web").pid)}


def test_a_service_that_keeps_failing_is_given_up_with_its_last_words(rig: Rig, tmp_path: Path) -> None:
    rig.declare("web", "--starts", str(tmp_path / "starts"), "--fail-until", "99")
    rig.start()
    row = rig.until_state("web", State.FAILED)
    assert "gave up after 6 tries" in row.reason and "the test asked for a failure" in row.reason
    assert len((tmp_path / "starts").read_text().splitlines()) == 6
    # Asking again tries again.
    rig.state.services.set_desired("web", True, "test")
    until(lambda: len((tmp_path / "starts").read_text().splitlines()) > 6)


def test_one_that_fails_at_first_gets_there(rig: Rig, tmp_path: Path) -> None:
    rig.declare("web", "--starts", str(tmp_path / "starts"), "--fail-until", "3")
    rig.start()
    assert rig.until_state("web", State.RUNNING).restarts == 2


def test_one_that_never_gets_healthy_is_stopped_at_its_deadline(rig: Rig, project: Path) -> None:
    (project / "sick").touch()
    rig.declare("web", start_seconds=1.0)
    rig.start()
    # The event's reason: the next try clears that of the state.
    ended = until(lambda: [event for event in rig.state.events.all(subject="web") if event.kind == "service.exited"])
    assert "not healthy within 1 s" in ended[0].data["reason"]


def test_a_sick_one_is_unhealthy_and_recovers(rig: Rig, project: Path) -> None:
    rig.declare("web")
    rig.start()
    rig.until_state("web", State.RUNNING)
    (project / "sick").touch()
    assert "answered 500" in rig.until_state("web", State.UNHEALTHY).reason
    (project / "sick").unlink()
    rig.until_state("web", State.RUNNING)
    assert rig.status("web").restarts == 0


def test_a_new_supervisor_adopts_what_a_killed_one_left(rig: Rig, tmp_path: Path) -> None:
    rig.declare("web", "--starts", str(tmp_path / "starts"))
    rig.start()
    before = rig.until_state("web", State.RUNNING)
    rig.kill_supervisor()
    assert rig.get("web").split()[0] == str(before.pid), "it serves on while nobody supervises"
    rig.start()
    until(lambda: "service.adopted" in kinds(rig, "web"))
    assert rig.until_state("web", State.RUNNING).pid == before.pid
    assert (tmp_path / "starts").read_text().split() == [str(before.pid)], "no double start"
    ids = [event.id for event in rig.state.events.all()]
    assert ids == list(range(1, len(ids) + 1)), "no event is lost"
    os.kill(before.pid, signal.SIGKILL)
    assert rig.get("web").split()[0] != str(before.pid), "the new supervisor holds the socket too: a request waits"
    assert rig.until_state("web", State.RUNNING).port == before.port


def test_one_whose_declaration_changed_meanwhile_is_replaced(rig: Rig) -> None:
    rig.declare("web")
    rig.start()
    before = rig.until_state("web", State.RUNNING)
    rig.kill_supervisor()
    rig.declare("web", env={"PEER": "changed"})
    rig.start()
    until(lambda: rig.status("web").pid not in (before.pid, None) and rig.status("web").state is State.RUNNING)
    assert rig.get("web").split()[1] == "changed"


def test_grandchildren_in_sessions_of_their_own_are_ended_too(rig: Rig) -> None:
    rig.declare("web", "--child")
    rig.start()
    rig.until_state("web", State.RUNNING)
    until(lambda: len(processes.marked(rig.paths.state)) == 2)
    rig.kill_supervisor()
    done = run_box(rig.paths.root, "down")
    assert done.returncode == 0 and "ended 2 processes" in done.stderr
    assert processes.marked(rig.paths.state) == []


def test_a_taken_port_means_the_next_one_and_says_so(rig: Rig) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        rig.declare("web", port=taken)
        rig.start()
        row = rig.until_state("web", State.RUNNING)
    assert row.port is not None and row.port > taken
    started = next(event for event in rig.state.events.all() if event.kind == "service.started")
    assert f"port {taken} is taken" in started.data["reason"]


def test_another_port_in_the_settings_is_taken_up_and_the_old_one_let_go(rig: Rig) -> None:
    with kept() as old, kept() as new:
        had, wanted = old.getsockname()[1], new.getsockname()[1]
        rig.declare("web", port=had)
        rig.start()
        assert rig.until_state("web", State.RUNNING).port == had
        with pytest.raises(OSError, match="in use"):
            old.listen()
        rig.declare("web", port=wanted)
        until(lambda: rig.status("web").port == wanted and rig.status("web").state is State.RUNNING)
        old.listen()


def kept() -> socket.socket:
    """A socket that keeps its port from everybody but who shares it (SO_REUSEADDR), until one of them listens."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", 0))
    return made


def test_of_two_supervisors_one_wins_and_the_other_says_who(rig: Rig, project: Path) -> None:
    rig.declare("web")
    rig.start()
    done = run_box(project, "up")
    assert done.returncode == 1
    assert f"pid {rig.supervisors[-1].pid}" in done.stderr and "box status" in done.stderr


def test_one_with_a_broken_reference_fails_alone(rig: Rig) -> None:
    rig.declare("good")
    rig.declare("bad", env={"PEER": "${good.nonsense}"})
    rig.start()
    rig.until_state("good", State.RUNNING)
    assert "${good.nonsense}" in rig.until_state("bad", State.FAILED).reason


def test_a_program_that_does_not_exist_fails_with_its_name(rig: Rig) -> None:
    rig.state.services.declare(Service("ghost", ("no-such-program",)), True, "test")
    rig.start()
    assert "no-such-program" in rig.until_state("ghost", State.FAILED).reason


def test_a_launcher_of_long_ago_costs_no_stranger_his_life(rig: Rig) -> None:
    """After a restart of the machine the number in the state may be any process's."""
    run = rig.state.runs.add("flows/a.py", "A", {})
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as stranger:
        assert rig.state.runs.claim(run.id, stranger.pid, 1.0)
        rig.start()
        until(lambda: rig.state.runs.get(run.id).state is RunState.FAILED)
        assert stranger.poll() is None
        stranger.kill()


def test_launchers_leave_no_zombies(rig: Rig) -> None:
    rig.start()
    runs = [rig.state.runs.add("flows/none.py", "A", {}) for _ in range(2)]
    until(lambda: all(rig.state.runs.get(run.id).state.over for run in runs))
    supervisor = psutil.Process(rig.supervisors[-1].pid)
    until(lambda: supervisor.children() == [], lambda: str(supervisor.children()))


def test_endpoints_of_a_dead_supervisor_are_not_said_to_run(rig: Rig, project: Path) -> None:
    rig.state.releases.add("web", "web:1", None, None, None, "sha256:0", "test")
    rig.state.releases.split("web", {1: 100}, "test")
    for name, kind in (("web@1", "release"), ("gateway", "gateway")):
        rig.state.services.declare(Service(name, ("true",), kind=kind), True, "test")
        rig.state.services.moved(name, State.RUNNING, pid=1, port=1)
    shown = json.loads(run_box(project, "status", "--json").stdout)["endpoints"][0]
    assert (shown["state"], shown["url"]) == ("stopped", None)


def test_status_tells_of_a_dead_supervisor(rig: Rig, project: Path) -> None:
    rig.declare("web")
    rig.start()
    rig.until_state("web", State.RUNNING)
    rig.kill_supervisor()
    done = run_box(project, "status", "--json")
    shown = json.loads(done.stdout)
    assert done.returncode == 3 and shown["supervisor"] is None and shown["schema_version"] == 1
    assert shown["services"][0]["state"] == "stopped" and "takes over" in shown["services"][0]["reason"]


def test_a_damaged_state_file_does_not_keep_a_box_from_stopping(rig: Rig, project: Path) -> None:
    rig.declare("web")
    rig.start()
    rig.until_state("web", State.RUNNING)
    rig.state.close()
    database = rig.paths.database
    for path in (database, database.with_name("box.db-wal"), database.with_name("box.db-shm")):
        path.rename(path.with_suffix(path.suffix + ".aside"))
    database.write_bytes(b"garbage" * 1000)
    done = run_box(project, "down")
    assert done.returncode == 0 and processes.marked(rig.paths.state) == []
    assert database.read_bytes() == b"garbage" * 1000
    database.unlink()


def test_a_supervisor_ends_when_its_state_file_is_gone(rig: Rig) -> None:
    rig.declare("web")
    rig.start()
    rig.until_state("web", State.RUNNING)
    rig.state.close()
    rig.paths.database.rename(rig.paths.database.with_name("elsewhere"))
    rig.supervisors[-1].wait(90)
    assert processes.marked(rig.paths.state) == []


def test_up_right_after_a_signal_waits_for_the_end_and_starts_afresh(rig: Rig, project: Path) -> None:
    rig.declare("web", stop_seconds=2.0)
    rig.start()
    rig.until_state("web", State.RUNNING)
    rig.supervisors[-1].send_signal(signal.SIGTERM)
    # The signal says nothing before the supervisor has taken it.
    until(lambda: rig.state.meta.get("box.wanted") == "down")
    done = run_box(project, "up", "--detach")
    rig.supervisors[-1].wait(90)
    there = holder(rig.paths)
    assert done.returncode == 0 and there is not None, "what `up` reported must not be the supervisor that was ending"
    assert there.pid != rig.supervisors[-1].pid and f"pid {there.pid}" in done.stderr


def test_a_supervisor_that_cannot_write_any_more_still_ends_with_nothing_left(rig: Rig, project: Path) -> None:
    """As on a full disk: from here on the kernel refuses every write of the supervisor to a file."""
    rig.declare("web")
    rig.start()
    before = rig.until_state("web", State.RUNNING)
    resource.prlimit(rig.supervisors[-1].pid, resource.RLIMIT_FSIZE, (0, 0))
    os.kill(before.pid, signal.SIGKILL)
    done = run_box(project, "down")
    assert done.returncode == 0 and processes.marked(rig.paths.state) == []
    assert rig.supervisors[-1].wait(90) == 0
