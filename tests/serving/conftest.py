"""Each service twice: under `bentoml serve` and under boxplat's worker."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.serving.cases import Case

SERVICES = Path(__file__).with_name("services")
_START_SECONDS = 120
_WORKER = ("-m", "boxplat.serving.worker")
_STOCK = ("-m", "bentoml", "serve", "--host", "127.0.0.1", "--port")
_OWN = {"date", "x-bentoml-request-id", "etag", "last-modified"}


@dataclass(frozen=True)
class Answered:
    """An answer; `heads` without those that name a moment or the request."""

    status: int
    kind: str | None
    body: bytes
    heads: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pair:
    """The URLs of one service."""

    stock: str
    ours: str


def ask(url: str, case: Case, timeout: float = 30) -> Answered:
    """One request on a connection of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request(case.method, case.path, case.body, case.headers)
        answer = connection.getresponse()
        own = urlsplit(url).netloc
        heads = tuple(
            (name, ", ".join(sorted(value.replace(own, "here").split(", "))))
            for name, value in answer.getheaders()
            if name.lower() not in _OWN
        )
        return Answered(answer.status, answer.headers["content-type"], answer.read(), heads)
    finally:
        connection.close()


def clean_environment(scratch: Path) -> dict[str, str]:
    scratch.mkdir(parents=True)
    dropped = ("BENTOML_", "PROMETHEUS_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    own = {"BENTOML_HOME": str(scratch / "bentoml"), "PROMETHEUS_MULTIPROC_DIR": str(scratch / "metrics")}
    return kept | own | {"BENTOML_DO_NOT_TRACK": "True", "OMP_NUM_THREADS": "1"}


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def held_port() -> Iterator[int]:
    """A port of the loopback address that only a server gets, which binds it with SO_REUSEADDR, until the block ends.

    One that is only free may be another process's by the time at which a server wants it.
    """
    with socket.socket() as holding:
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(("127.0.0.1", 0))
        yield int(holding.getsockname()[1])


def _until_ready(process: subprocess.Popen[Any], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server of {url} ended"
        with contextlib.suppress(OSError, http.client.HTTPException):
            # 404 where the service has a prefix: then whatever answers has started.
            if ask(url, Case("/readyz", None, {}, "GET"), timeout=5).status != 503:
                return
    raise AssertionError(f"{url} was not ready in {_START_SECONDS} s")


def _end(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        members = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in members:
            # Some end with their parent.
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    process.wait()


def _entry(folder: Path) -> str:
    """The last service in the file is the one that is served."""
    return re.findall(r"^class (\w+)", (folder / "service.py").read_text(), re.MULTILINE)[-1]


def served(name: str, scratch: Path) -> contextlib.AbstractContextManager[Pair]:
    """One service of `services/` under both servers."""
    folder = SERVICES / name
    return compared(folder, f"service:{_entry(folder) if name != 'routed' else 'Routed'}", scratch)


@contextlib.contextmanager
def compared(folder: Path, target: str, scratch: Path, **environment: str) -> Iterator[Pair]:
    """Any service under both servers; what they say is in files of `scratch`."""
    with (
        held_port() as port,
        _running([*_STOCK, str(port), target], folder, scratch / "stock", environment) as theirs,
        worker(folder, target, scratch / "ours", **environment) as (ours, _),
    ):
        stock = f"http://127.0.0.1:{port}"
        _until_ready(theirs, stock)
        yield Pair(stock, ours)


@contextlib.contextmanager
def worker(
    folder: Path, target: str, scratch: Path, *flags: str, begin: Sequence[str] = _WORKER, **environment: str
) -> Iterator[tuple[str, psutil.Process]]:
    """A service under boxplat's server alone: its URL and its process. `begin` is what Python is told to run."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        argv = [*begin, target, "--fd", str(listening.fileno()), *flags]
        with _running(argv, folder, scratch, environment, listening.fileno()) as own:
            _until_ready(own, url)
            yield url, psutil.Process(own.pid)


@contextlib.contextmanager
def _running(
    argv: list[str], folder: Path, scratch: Path, environment: dict[str, str], *descriptors: int
) -> Iterator[subprocess.Popen[bytes]]:
    env = clean_environment(scratch) | environment
    with (scratch / "log").open("wb") as log:
        started = subprocess.Popen(
            [sys.executable, *argv], cwd=folder, env=env, pass_fds=descriptors, stdout=log, stderr=log
        )
        try:
            yield started
        finally:
            _end(started)


@pytest.fixture(
    scope="module", params=sorted(path.name for path in SERVICES.iterdir() if (path / "service.py").is_file())
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pair]]:
    """Each service in turn."""
    with served(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield request.param, found
