"""One server that is attacked; after each attack it is as it was before."""

from __future__ import annotations

import contextlib
import json
import select
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import psutil
import pytest

from tests.serving.cases import Case
from tests.serving.conftest import ask, held_port, worker
from tests.serving.sockets import connected

# What a client may take for a request is shorter here, so that slow ones are found out within a test.
GRACE_SECONDS = 5
_BEGIN = (
    "-c",
    f"import boxplat.serving.http.patience as p; p._GRACE_SECONDS = {GRACE_SECONDS}.0; p._LEAST_RATE = 1e5\n"
    "from boxplat.serving.worker import main; main()",
)
BODY_MIB = 4
# What the allocator keeps, and a batch of answers on their way.
_MOST_GROWTH = 48 * 2**20


@dataclass(frozen=True)
class Server:
    """`rpc`: the URL of its port for gRPC."""

    url: str
    process: psutil.Process
    rpc: str

    def asked(self, name: str, **values: Any) -> Any:
        """What a function answers, on a connection of its own."""
        answer = ask(self.url, Case(f"/{name}", json.dumps(values).encode()))
        assert answer.status == 200, answer
        return json.loads(answer.body)

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int(self.process.memory_info().rss)

    @contextlib.contextmanager
    def bounded(self, most: int = _MOST_GROWTH) -> Iterator[Callable[[], None]]:
        """Memory does not grow by more bytes than this; asked at the end and whenever the result is called."""
        before = self.memory

        def check() -> None:
            assert self.memory - before < most, f"grown by {(self.memory - before) >> 20} MiB"

        yield check
        check()


def until(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something that other processes do."""
    deadline = monotonic() + seconds
    idle, _ = socket.socketpair()
    with idle, _:
        while not what():
            assert monotonic() < deadline, "it did not come about"
            select.select([idle], [], [], 0.02)


@pytest.fixture(scope="session")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    scratch = tmp_path_factory.mktemp("robust") / "ours"
    flags = ("--body-mib", str(BODY_MIB), "--waiting", "2000", "--grpc-port")
    with (
        held_port() as port,
        worker(Path(__file__).parent, "service:Robust", scratch, *flags, str(port), begin=_BEGIN) as (url, process),
    ):
        server = Server(url, process, f"http://127.0.0.1:{port}")
        for _ in range(3):
            server.asked("add", a=1)
            server.asked("shape", x=[1])
            server.asked("doubled", x=[1])
            server.asked("blocked", seconds=0)
        yield server


def _sockets(server: Server) -> int:
    return len(server.process.net_connections("inet"))


@pytest.fixture
def server(attacked: Server) -> Iterator[Server]:
    """It answers after the test, and holds no more descriptors, connections or calls than before."""
    before, sockets = attacked.process.num_fds(), _sockets(attacked)
    yield attacked
    assert attacked.process.is_running()
    assert attacked.asked("add", a=2) == 2.5
    until(lambda: attacked.asked("counts")[0] == 0)
    until(lambda: _sockets(attacked) <= sockets)
    # Files of counters are opened when something is counted for the first time.
    until(lambda: attacked.process.num_fds() <= before + 3)
    with connected(attacked.url):
        assert attacked.asked("add", a=3) == 3.5
