"""A project with a real tracking server, shared by the session, and launchers started as the supervisor starts them."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boxplat.adapters import tracking
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.graph import resolve
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import start

FLOWS = Path(__file__).parent / "flows"
PATIENCE = 300.0
# The launcher, with an answer of a busy server waited for: what was promised to the user in seconds is not tested here.
LAUNCHER = """
import sys
from boxplat.runs import launcher
launcher.FIRST_ANSWER = launcher.ANSWER = launcher.CANCELLED_ANSWER = 60.0
sys.exit(launcher.main(int(sys.argv[1])))
"""


def until(condition: Callable[[], Any], what: str, timeout: float = PATIENCE) -> Any:
    """Wait on a condition; its value."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        threading.Event().wait(0.05)
    raise AssertionError(f"not in {timeout:g} s: {what}")


class Server:
    """The tracking server from its own declaration: same command, environment and inherited socket as in a box."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._config = Config()
        self._service = tracking.service(self._config, paths)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = paths.mlflow / "mlflow.db"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it; returns the seconds until it was healthy."""
        self.socket.listen(128)
        descriptor = self.socket.fileno()
        values = {
            "box.python": sys.executable,
            "box.root": str(self._paths.root),
            "box.state": str(self._paths.state),
            "self.fd": str(descriptor),
            "self.port": str(self.port),
        }
        env = child_environment(self._paths, self._config)
        env |= {name: resolve(value, values) for name, value in self._service.env.items()}
        began = time.monotonic()
        with self._paths.service_log("tracking").open("ab") as log:
            command = [resolve(word, values) for word in self._service.command]
            self.process = subprocess.Popen(command, env=env, stdout=log, stderr=log, pass_fds=(descriptor,))
        with urllib.request.urlopen(self.url + self._service.health, timeout=PATIENCE) as answer:
            assert answer.status == 200
        return time.monotonic() - began

    def stop(self) -> None:
        """End it, and refuse connections from then on."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(90)
        self.socket.close()


class Gate:
    """A port that refuses until it is opened, and from then on leads to the tracking server."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def open(self) -> None:
        self._socket.listen(32)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._socket.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._target))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()


@dataclasses.dataclass(frozen=True)
class Project:
    """A project folder with the test flows, its state, and the server that its runs are tracked on."""

    paths: Paths
    state: StateStore
    url: str
    config: Config = dataclasses.field(default_factory=Config)

    @property
    def env(self) -> dict[str, str]:
        return child_environment(self.paths, self.config, self.url)

    def queue(self, flow: str, params: dict[str, str] | None = None, **options: Any) -> Run:
        return start(self.state, self.paths, self.config, flow, params or {}, options, "test")

    def launch(self, run: Run, url: str | None = None, before: str = "") -> subprocess.Popen[bytes]:
        """Start a run's launcher in a session of its own, its output in the run's log; `before` is code of it."""
        folder = self.paths.run_dir(run.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        env = child_environment(self.paths, self.config, url or self.url) | {"BOXPLAT_RUN_ID": str(run.id)}
        with self.paths.run_log(run.id).open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-c", before + LAUNCHER, str(run.id)],
                cwd=self.paths.root,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, flow: str, params: dict[str, str] | None = None, url: str | None = None, **options: Any) -> Run:
        """Run a flow to its end."""
        queued = self.queue(flow, params, **options)
        assert self.launch(queued, url).wait(PATIENCE) == 0
        return self.state.runs.get(queued.id)

    def log(self, run: Run) -> str:
        return self.paths.run_log(run.id).read_text()

    def metaflow(self, script: str, *args: str) -> Any:
        """What a script prints as JSON, with Metaflow's client, in a process of its own."""
        code = f"import json, sys\nfrom metaflow import *\nnamespace(None)\n{script}"
        done = subprocess.run(
            [sys.executable, "-c", code, *args], env=self.env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def make_project(root: Path, url: str) -> Project:
    root.mkdir()
    (root / "boxplat.toml").write_text('[project]\nname = "test"\n')
    shutil.copytree(FLOWS, root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    paths = Paths(root)
    return Project(paths, StateStore.open(paths), url)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    paths = Paths(tmp_path_factory.mktemp("tracking"))
    paths.create()
    tracking.prepare(paths)
    made = Server(paths)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="session")
def box(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("box") / "project", server.url)


@pytest.fixture
def gate(server: Server) -> Iterator[Gate]:
    made = Gate(server.port)
    yield made
    made.close()


@pytest.fixture(scope="session")
def client(server: Server) -> Any:
    """MLflow's own client: the recorder uses none of it, so it is an oracle."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient
    from mlflow.utils import plugins

    # It would import all of Feast at its first request.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_get_entry_points", lambda group: [])
        import mlflow.tracking.request_header.registry  # noqa: F401

    return MlflowClient(server.url)
