"""Starting, asking, pausing and ending the servers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from contenders import SERVICES, Contender, Way

READY_SECONDS = 180


@dataclass(frozen=True)
class Server:
    """A server that has answered.

    Attributes:
        ready: seconds from its start to its first answer.
    """

    contender: Contender
    process: subprocess.Popen[bytes]
    port: int
    ready: float = 0.0

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def ask(self, way: Way) -> tuple[int, bytes]:
        """Status and body of one request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request("POST", way.path, way.body, dict(way.headers))
            found = connection.getresponse()
            return found.status, found.read()

    def pause(self) -> None:
        """Stop its processes without ending them, so that it takes no processor time from another's run."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for member in self.tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                member.send_signal(number)


@contextlib.contextmanager
def served(
    contender: Contender, scratch: Path, env: Mapping[str, str], cores: set[int] | None = None, probe: Way | None = None
) -> Iterator[Server]:
    """A server on a free port that has answered, ended afterwards with all its children.

    Args:
        scratch: a folder for its files and its log.
        env: variables for it, above its contender's own.
        cores: those that it may use; all of them if None.
        probe: what it is asked until it answers; the contender's first way if None.
    """
    place = scratch / contender.name
    place.mkdir(exist_ok=True)
    whole = _environment(place) | contender.env | env
    if contender.before and not (place / "before").exists():
        subprocess.run([sys.executable, *_filled(contender.before, scratch=place)], cwd=SERVICES, env=whole, check=True)
        (place / "before").touch()
    with _listening() as listening, (place / "log").open("ab") as log:
        port = listening.getsockname()[1]
        if contender.inherits:
            listening.listen(2048)
        else:
            listening.close()
        argv = _filled(contender.command, port=port, fd=listening.fileno(), scratch=place)
        if cores:
            argv = [str(Path(__file__).with_name("pinned.py")), ",".join(map(str, sorted(cores))), *argv]
        since = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=contender.folder,
            env=whole,
            pass_fds=(listening.fileno(),) if contender.inherits else (),
            stdout=log,
            stderr=log,
        )
    server = Server(contender, process, port)
    try:
        _until_ready(server, probe or contender.ways[0], place / "log")
        yield Server(contender, process, port, time.monotonic() - since)
    finally:
        _end(server)


def _environment(place: Path) -> dict[str, str]:
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    path = [str(SERVICES), *filter(None, [env.get("PYTHONPATH")])]
    return env | {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(path),
        "BENTOML_HOME": str(place / "bentoml"),
        "PROMETHEUS_MULTIPROC_DIR": str(place / "metrics"),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "true",
        "OMP_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def _listening() -> Iterator[socket.socket]:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # As the supervisor makes it; uvicorn does not set it on a socket that it is given.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listening


def _filled(command: tuple[str, ...], **values: object) -> list[str]:
    return [part.format(**values) for part in command]


def _until_ready(server: Server, probe: Way, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if server.ask(probe)[0] == 200:
                return
        time.sleep(0.05)
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    raise SystemExit(f"{server.contender.name} did not get ready:\n{tail}")


def _end(server: Server) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        members = server.tree()
        server.resume()
        server.process.terminate()
        _, alive = psutil.wait_procs(members, timeout=5)
        for member in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                member.kill()
    server.process.wait()
