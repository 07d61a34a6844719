"""A gateway that runs for the session, over a state in which tests put what they want."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.model import Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases import gateway
from tests.releases.gateway.servers import Loop, Server

_SECONDS = 90.0


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait for a condition; what it returned."""
    deadline = time.monotonic() + _SECONDS
    pause = threading.Event()
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        pause.wait(0.01)
    raise AssertionError(f"not within {_SECONDS:g} s: {what}")


def whole_lines(log: Path) -> list[str]:
    """Without the last one, which may still be written."""
    return log.read_text().split("\n")[:-1]


class Place:
    """A box of which only the gateway runs; its releases are servers of the test."""

    def __init__(self, root: Path) -> None:
        root.mkdir(exist_ok=True)
        (root / "boxplat.toml").write_text('[project]\nname = "gateway"\n')
        self.paths = Paths(root)
        self.state = StateStore.open(self.paths)
        self.loop = Loop()
        self.own_port = 0
        self._numbers = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._servers: list[Server] = []

    def start(self, **environment: str) -> None:
        from boxplat.supervisor.sockets import free_port

        self.own_port = free_port(0)
        argv = [sys.executable, "-P", "-m", "boxplat.releases.gateway.main", "--port", str(self.own_port)]
        env = {**os.environ, "BOXPLAT_PROJECT": str(self.paths.root), **environment}
        self.state.services.declare(Service(name="gateway", command=("x",), kind="gateway"), True, "test")
        with self.paths.service_log("gateway").open("ab") as log:
            self._process = subprocess.Popen(argv, env=env, stdout=log, stderr=log)
        self.state.services.moved("gateway", State.RUNNING, "", None, port=self.own_port, pid=self._process.pid)

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(_SECONDS)

    def server(self, tag: str) -> Server:
        """A process that listens."""
        found = Server(tag)
        self.loop.run(found.listen())
        self._servers.append(found)
        return found

    def endpoint(self, servers: Mapping[int, list[Server]], weights: Mapping[int, int], **settings: Any) -> str:
        """A new endpoint whose releases are served by these servers, taken by the gateway; its name."""
        shadow = settings.pop("shadow", None)
        name = f"endpoint-{next(self._numbers)}"
        self.state.endpoints.settle(name, {"port": 0, "replicas": 2, **settings})
        for number in range(1, max(servers) + 1):
            self.state.releases.add(
                endpoint=name,
                bento="b:1",
                model=None,
                model_version=None,
                feature_service=None,
                environment="e",
                by="test",
            )
            self.replicas(name, number, [server.port for server in servers.get(number, [])])
        self.split(name, weights, shadow)
        return name

    def replicas(
        self, name: str, number: int, ports: list[int], state: State = State.RUNNING, grpc_port: int | None = None
    ) -> None:
        """Say that the processes of a release are there (or in another state)."""
        for index, port in enumerate(ports, 1):
            service = f"{name}@{number}" + (f".{index}" if index > 1 else "")
            self.state.services.declare(Service(name=service, command=("x",), kind="release"), True, "test")
            self.state.services.moved(service, state, "", None, port=port, grpc_port=grpc_port, pid=os.getpid())

    def split(self, name: str, weights: Mapping[int, int], shadow: int | None = None) -> None:
        """Change the traffic, and wait until the gateway has it."""
        self.state.releases.split(name, dict(weights), "test", shadow=shadow)
        until(lambda: self.applied.serves(name, weights, shadow), f"{name} {weights}")

    @property
    def applied(self) -> gateway.Applied:
        return gateway.applied(self.state)

    def port(self, name: str) -> int:
        return int(self.applied.endpoints[name].url.rpartition(":")[2])

    def close(self) -> None:
        for server in self._servers:
            self.loop.run(server.close())
        self.loop.stop()
        self.state.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("gateway") / "box")
    found.start()
    yield found
    assert found.stop() == 0
    found.close()
