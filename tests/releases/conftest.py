"""A project with tiny Bento services, and the processes that serve them."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.adapters import bentos
from boxplat.core.config import Config, EndpointConfig
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths

ADDER = """
from __future__ import annotations

import os

import bentoml

STARTED_WITH = os.environ.get("ADDER_UNIT", "unset")


@bentoml.service(name="adder", envs=[{"name": "ADDER_UNIT", "value": "metre"}], traffic={"timeout": 20})
class Adder:
    @bentoml.api
    def add(self, numbers: list[float]) -> dict:
        if not numbers:
            raise bentoml.exceptions.InvalidArgument("no numbers")
        return {"sum": sum(numbers), "unit": STARTED_WITH}

    @bentoml.api
    def serving(self) -> dict:
        keys = ("BOXPLAT_RELEASE", "BOXPLAT_MODEL_URI", "MLFLOW_TRACKING_URI")
        return {"pid": os.getpid(), **{key: os.environ.get(key, "") for key in keys}}
"""

Answer = tuple[int, str, bytes]


def until(what: str, condition, seconds: float = 180.0):
    """Wait for a condition and return what it returned."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        pause.wait(0.01)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def ask(url: str, body: bytes | None = None, timeout: float = 120.0) -> Answer:
    """Status, content type and body of one request."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers["Content-Type"], error.read()


def add(url: str, *numbers: float) -> Answer:
    return ask(f"{url}/add", json.dumps({"numbers": numbers}).encode())


def write_bento(folder: Path, text: str = ADDER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.py").write_text(text)
    return folder


@pytest.fixture(scope="session")
def config() -> Config:
    return Config(endpoints={"adder": EndpointConfig(bento="bentos/adder", env={"COLOUR": "red"})})


@pytest.fixture(scope="session")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    found = Paths(tmp_path_factory.mktemp("bentos"))
    found.create()
    return found


@pytest.fixture(scope="session")
def bento(paths: Paths, config: Config) -> Path:
    """The folder of the built adder."""
    tag = bentos.build(write_bento(paths.root / "bentos" / "adder"), paths, config)
    return paths.bentoml / "bentos" / tag.replace(":", "/")


class Listener:
    """A listening socket as the supervisor opens it, and the workers started on it."""

    def __init__(self, bento: Path, paths: Paths, config: Config) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(2048)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._bento = bento
        self._env = child_environment(paths, config) | {
            "PROMETHEUS_MULTIPROC_DIR": str(paths.bentoml / "metrics-adder")
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, *program: str) -> subprocess.Popen[bytes]:
        """A worker; `program` is what Python is told to run."""
        descriptor = self._socket.fileno()
        program = program or ("-m", "boxplat.serving.worker")
        command = [sys.executable, *program, str(self._bento), "--fd", str(descriptor)]
        process = subprocess.Popen(
            command, env=self._env, cwd=self._bento, pass_fds=[descriptor], stdout=subprocess.DEVNULL, stderr=None
        )
        self._started.append(process)
        return process

    def close(self) -> None:
        self._socket.close()
        for process in self._started:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def worker(bento: Path, paths: Paths, config: Config) -> Iterator[str]:
    """URL of the adder under boxplat's worker."""
    listener = Listener(bento, paths, config)
    listener.start()
    assert ask(f"{listener.url}/readyz")[0] == 200
    yield listener.url
    listener.close()


@pytest.fixture(scope="session")
def stock(bento: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the same Bento under `bentoml serve`."""
    env = os.environ | {"BENTOML_HOME": str(tmp_path_factory.mktemp("stock")), "BENTOML_DO_NOT_TRACK": "True"}

    def begin() -> tuple[subprocess.Popen[bytes], str]:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "bentoml", "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
        begun = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return begun, f"http://127.0.0.1:{port}"

    process, url = begin()

    def ready() -> bool:
        nonlocal process, url
        if process.poll() is not None:
            # Somebody took the port before it did.
            process, url = begin()
        try:
            return ask(f"{url}/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    until("bentoml serve is ready", ready)
    yield url
    process.terminate()
    process.wait()
