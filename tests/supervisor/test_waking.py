"""A process that nobody asks stops, its socket stays, and the next request starts it again."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.model import Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.serving.presence import ASKED
from boxplat.supervisor.waking import idle, waiting
from tests.supervisor.test_box import Rig, until


@pytest.fixture
def rig(project: Path) -> Iterator[Rig]:
    made = Rig(project)
    yield made
    made.down()


def asked(paths: Paths, name: str, ago: float) -> Path:
    """The file of its requests, the last one so many seconds ago."""
    file = paths.bentoml / f"metrics-{name}" / ASKED
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    os.utime(file, (time.time() - ago,) * 2)
    return file


def declare(rig: Rig, name: str = "quiet", seconds: float = 0.5, **fields: Any) -> None:
    env = {"PROMETHEUS_MULTIPROC_DIR": f"${{box.state}}/bentoml/metrics-{name}"}
    rig.declare(name, env=env, idle_seconds=seconds, **fields)


def kinds(state: StateStore, name: str) -> list[str]:
    return [event.kind for event in state.events.all(subject=name)]


def test_when_a_process_is_idle(project: Path) -> None:
    paths = Paths(project)
    paths.create()
    env = {"PROMETHEUS_MULTIPROC_DIR": "${box.state}/bentoml/metrics-a"}
    service, long_ago = Service("a", (), env=env, idle_seconds=1000), time.monotonic() - 10_000
    assert not idle(service, paths, long_ago), "nobody says when it was asked"
    asked(paths, "a", 1001)
    assert idle(service, paths, long_ago)
    assert not idle(service, paths, time.monotonic() - 500), "it has just started"
    assert not idle(Service("a", (), env=env), paths, long_ago), "it does not ask for it"
    asked(paths, "a", 500)
    assert not idle(service, paths, long_ago)


def test_a_connection_that_waits_is_seen_and_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert not waiting(listening.fileno())
        with socket.create_connection(listening.getsockname()) as client:
            until(lambda: waiting(listening.fileno()))
            assert waiting(listening.fileno())
            accepted, _ = listening.accept()
            with accepted:
                client.sendall(b"here")
                assert accepted.recv(4) == b"here"
        assert not waiting(listening.fileno())


@pytest.mark.integration
def test_asleep_and_woken_by_the_first_request(rig: Rig) -> None:
    asked(rig.paths, "quiet", 100)
    declare(rig)
    rig.start()
    slept = rig.until_state("quiet", State.ASLEEP)
    assert slept.pid is None and slept.port and slept.desired and slept.restarts == 0
    assert slept.state.ready and "the next request starts it" in slept.reason
    first = int(rig.get("quiet").split()[0])
    assert rig.status("quiet").port == slept.port
    # By its events: the state may still be that of before the request.
    until(lambda: kinds(rig.state, "quiet").count("service.asleep") == 2)
    # The first one's end, the second one's whole life, and nothing but requests woke it.
    assert kinds(rig.state, "quiet").count("service.started") == 2
    assert int(rig.get("quiet").split()[0]) != first
    assert "service.exited" not in kinds(rig.state, "quiet")


@pytest.mark.integration
def test_one_that_is_asked_stays_awake_and_one_that_sleeps_can_be_stopped(rig: Rig) -> None:
    asked(rig.paths, "busy", -3600)
    asked(rig.paths, "quiet", 100)
    declare(rig, "busy")
    declare(rig)
    rig.start()
    port = rig.until_state("quiet", State.ASLEEP).port
    assert rig.until_state("busy", State.RUNNING).pid
    rig.state.services.set_desired("quiet", False, "test")
    rig.until_state("quiet", State.STOPPED)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert "service.asleep" not in kinds(rig.state, "busy")


@pytest.mark.integration
def test_a_new_declaration_starts_one_that_sleeps(rig: Rig) -> None:
    asked(rig.paths, "quiet", 100)
    declare(rig)
    rig.start()
    rig.until_state("quiet", State.ASLEEP)
    declare(rig, seconds=0.0)
    assert rig.until_state("quiet", State.RUNNING).pid
