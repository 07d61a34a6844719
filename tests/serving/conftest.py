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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.serving.cases import Case

SERVICES = Path(__file__).with_name("services")
_START_SECONDS = 120


@dataclass(frozen=True)
class Answered:
    status: int
    kind: str | None
    body: bytes


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
        return Answered(answer.status, answer.headers["content-type"], answer.read())
    finally:
        connection.close()


def _environment(scratch: Path) -> dict[str, str]:
    scratch.mkdir(parents=True)
    dropped = ("BENTOML_", "PROMETHEUS_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    own = {"BENTOML_HOME": str(scratch / "bentoml"), "PROMETHEUS_MULTIPROC_DIR": str(scratch / "metrics")}
    return kept | own | {"BENTOML_DO_NOT_TRACK": "True", "OMP_NUM_THREADS": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _until_ready(process: subprocess.Popen[Any], url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server of {url} ended"
        with contextlib.suppress(OSError):
            if ask(url, Case("/readyz", None, {}, "GET"), timeout=5).status == 200:
                return
            if ask(url, Case("/v1/readyz", None, {}, "GET"), timeout=5).status == 200:
                return
    raise AssertionError(f"{url} was not ready in {_START_SECONDS} s")


def _end(process: subprocess.Popen[Any]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        members = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in members:
            member.kill()
    process.wait()


def _entry(folder: Path) -> str:
    """The last service in the file is the one that is served."""
    return re.findall(r"^class (\w+)", (folder / "service.py").read_text(), re.MULTILINE)[-1]


@contextlib.contextmanager
def served(name: str, scratch: Path) -> Iterator[Pair]:
    """One service under both servers."""
    folder = SERVICES / name
    port = _free_port()
    target = f"service:{_entry(folder) if name != 'routed' else 'Routed'}"
    stock = f"http://127.0.0.1:{port}"
    quiet: Any = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with socket.socket() as listening, contextlib.ExitStack() as stack:
        listening.bind(("127.0.0.1", 0))
        listening.listen(256)
        ours = f"http://127.0.0.1:{listening.getsockname()[1]}"
        argv = [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)]
        theirs = subprocess.Popen(argv, env=_environment(scratch / "stock"), **quiet)
        stack.callback(_end, theirs)
        argv = [sys.executable, "-m", "boxplat.serving.worker", target, "--fd", str(listening.fileno())]
        own = subprocess.Popen(argv, env=_environment(scratch / "ours"), pass_fds=[listening.fileno()], **quiet)
        stack.callback(_end, own)
        _until_ready(own, ours)
        _until_ready(theirs, stock)
        yield Pair(stock, ours)


@pytest.fixture(
    scope="module", params=sorted(path.name for path in SERVICES.iterdir() if (path / "service.py").is_file())
)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Pair]]:
    """Each service in turn."""
    with served(request.param, tmp_path_factory.mktemp(request.param)) as found:
        yield request.param, found
