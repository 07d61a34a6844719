"""The sample project, copied to a temporary folder and run once from raw data to an endpoint, shared by the session."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("flows", "feature_repo", "bentos")
for _folder in (ROOT / "flows", ROOT / "bentos" / "delay"):
    sys.path.insert(0, str(_folder))

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "True", "METAFLOW_USER": "sample"}


def environment(**more: str) -> dict[str, str]:
    """Environment of a child: no telemetry, no tracking unless given, and this Python first on the path."""
    ours = ("BOXPLAT_", "MLFLOW_", "METAFLOW_", "BENTOML_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    return kept | QUIET | more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], timeout: float, what: Callable[[], str]) -> None:
    """Wait for a condition; `what` says what was seen instead."""
    pause = threading.Event()
    for _ in range(int(timeout * 10)):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError(f"not within {timeout:.0f} s: {what()}")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException):
        return False


def serve(argv: list[str], health: str, folder: Path, env: dict[str, str]) -> Iterator[None]:
    """Run a server until the fixture ends; its log goes to `folder`."""
    log = folder / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen(argv, cwd=folder, env=env, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: answers(health) or process.poll() is not None, 300, log.read_text)
        assert process.poll() is None, log.read_text()
        yield
    finally:
        process.terminate()
        process.wait(timeout=300)


@dataclass(frozen=True)
class Sample:
    """A copy of the sample project and the address of its MLflow."""

    root: Path
    tracking_url: str

    @property
    def data(self) -> Path:
        return self.root / ".box" / "data"

    def flow(self, name: str, *choices: str, tracking: bool = True) -> subprocess.CompletedProcess[str]:
        """`python flows/<name>.py run …` from the project's root."""
        env = environment(**({"MLFLOW_TRACKING_URI": self.tracking_url} if tracking else {}))
        argv = [sys.executable, f"flows/{name}.py", "--no-pylint", "run", *choices]
        return subprocess.run(argv, cwd=self.root, env=env, capture_output=True, text=True, timeout=1800, check=False)

    def must(self, name: str, *choices: str, tracking: bool = True) -> str:
        """Run a flow that must succeed; its output."""
        done = self.flow(name, *choices, tracking=tracking)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def loaded() -> duckdb.DuckDBPyConnection:
    """The real files as tables `flight` and `weather`, and the event sources."""
    from flights import events, sources, timetable

    con = sources.connect()
    sources.load(con, sources.source_folder())
    timetable.create(con)
    events.create(con)
    return con


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """A fresh copy of the project beside a running MLflow."""
    root, folder = tmp_path_factory.mktemp("sample"), tmp_path_factory.mktemp("mlflow")
    for part in PARTS:
        shutil.copytree(ROOT / part, root / part, ignore=shutil.ignore_patterns("__pycache__", ".metaflow"))
    port, database = free_port(), f"sqlite:///{folder}/mlflow.db"
    env = environment(
        _MLFLOW_SERVER_FILE_STORE=database,
        _MLFLOW_SERVER_REGISTRY_STORE=database,
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(folder / "artifacts"),
        _MLFLOW_SERVER_ARTIFACT_ROOT="mlflow-artifacts:/",
        _MLFLOW_SGI_NAME="uvicorn",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
    )
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "uvicorn", "mlflow.server.fastapi_app:app", "--host", "127.0.0.1", "--port"]
    server = serve([*argv, str(port)], f"{url}/health", folder, env)
    next(server)
    yield Sample(root, url)
    next(server, None)


@pytest.fixture(scope="session")
def featured(sample: Sample) -> Sample:
    """The project after `ingest` and `features`."""
    sample.must("ingest")
    sample.must("features")
    return sample


@dataclass(frozen=True)
class Trained:
    """The project after `train`, and what that printed."""

    sample: Sample
    output: str


@pytest.fixture(scope="session")
def trained(featured: Sample) -> Trained:
    """The project with a champion."""
    return Trained(featured, featured.must("train"))


@pytest.fixture(scope="session")
def champion(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The champion's files."""
    from flights import registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", trained.sample.tracking_url)
        return registry.download("models:/delay@champion", tmp_path_factory.mktemp("champion"))


@pytest.fixture(scope="session")
def endpoint(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of the service under plain `bentoml serve`."""
    folder, port = tmp_path_factory.mktemp("endpoint"), free_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(
        MLFLOW_TRACKING_URI=trained.sample.tracking_url,
        BOXPLAT_FEATURE_REPO=str(trained.sample.root / "feature_repo"),
        BENTOML_HOME=str(folder),
    )
    service = str(trained.sample.root / "bentos" / "delay")
    argv = [sys.executable, "-m", "bentoml", "serve", "service:Delay", "--working-dir", service]
    server = serve([*argv, "--host", "127.0.0.1", "--port", str(port)], f"{url}/readyz", folder, env)
    next(server)
    yield url
    next(server, None)
