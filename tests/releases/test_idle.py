"""An endpoint that nobody asks has no process; the first request through the gateway waits for one and is answered."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest

from boxplat.box import Box
from boxplat.core.model import ServiceStatus, State
from boxplat.releases.endpoints import replicas_of
from boxplat.runs.ledger import Ledger
from tests.conftest import run_box
from tests.releases.conftest import add, until, write_bento

SETTINGS = """
[project]
name = "idle"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
port = 0
warmup = 0
watch = ""
idle = "4s"
"""


@pytest.fixture
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("idle")
    (root / "boxplat.toml").write_text(SETTINGS)
    write_bento(root / "bentos" / "adder")
    found = Box(root, by="test")
    found.up(detach=True)
    try:
        found.wait(timeout=300)
        yield found
    finally:
        found.down()


def leases(box: Box) -> list[tuple[str, int]]:
    return [(lease.owner, lease.pid) for lease in Ledger(box.state.database).holdings().leases]


@pytest.mark.integration
def test_an_endpoint_sleeps_and_wakes_behind_the_gateway(box: Box) -> None:
    box.deploy("adder")
    (endpoint,) = box.endpoints()
    url = str(endpoint.url)

    def at_work() -> ServiceStatus | None:
        """Its process; None where it fell asleep while it was looked at."""
        assert add(url, 1, 2)[0] == 200
        (row,) = replicas_of("adder", box.state.services.all())
        there = row.state in (State.STARTING, State.RUNNING) and leases(box) == [("service/adder@1", row.pid)]
        return row if there else None

    awake = until("it has a process and its memory", at_work)

    def asleep() -> bool:
        (row,) = replicas_of("adder", box.state.services.all())
        return row.state is State.ASLEEP

    # The supervisor looks at its health every three seconds, which is no reason to stay awake.
    until("it sleeps", asleep)
    assert not psutil.pid_exists(awake.pid)
    assert leases(box) == [], "who sleeps keeps no memory from others"
    (endpoint,) = box.endpoints()
    assert endpoint.state is State.ASLEEP and endpoint.traffic == {1: 100}
    box.wait(timeout=90)
    assert run_box(box.root, "status").returncode == 0
    status, _, body = add(url, 20, 22)
    assert status == 200 and b"42" in body
    assert until("it is awake again", at_work).restarts == 0
