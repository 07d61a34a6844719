"""What every test stands on: projects in temporary folders, and a running box shared by the session."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore

# Tests of telemetry switches must see what a user sees, not what a test runner or CI adds.
for _name in ("PYTHONDONTWRITEBYTECODE", "BOX_PROJECT"):
    os.environ.pop(_name, None)
# No flow of a sample project starts by itself in the middle of a test at a full hour.
os.environ["BOXPLAT_SCHEDULE_ENABLED"] = "false"

# Those of a GPU run where there is little more than torch and pytest.
with contextlib.suppress(ImportError):
    from hypothesis import HealthCheck, settings

    # How long an example takes says more about the machine than about what is tested.
    settings.register_profile("boxplat", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("boxplat")

# Folders of which each part has its own servers.
_DIVIDED = ("features", "releases", "serving")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests of one folder, which share started servers, stay in one process where there are several."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            _, first, *rest = nodeid.partition("::")[0].split("/")
            return f"{first}/{rest[0]}" if first in _DIVIDED and len(rest) > 1 else first

    return ByFolder(config, log)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project folder."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "boxplat.toml").write_text('[project]\nname = "test"\n')
    return root


@pytest.fixture
def state(project: Path) -> Iterator[StateStore]:
    store = StateStore.open(Paths(project))
    yield store
    store.close()


Command = Callable[..., "subprocess.CompletedProcess[str]"]


def run_box(root: Path, *args: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    argv = [sys.executable, "-m", "boxplat", *args]
    return subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def box_command(project: Path) -> Iterator[Command]:
    """`box …` in the project; whatever it left running is stopped at the end."""

    def command(*args: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        return run_box(project, *args, timeout=timeout)

    yield command
    command("down")


@pytest.fixture(scope="session")
def live_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The root of a project whose box is up with its tracking server, shared by the session."""
    root = tmp_path_factory.mktemp("live")
    (root / "boxplat.toml").write_text('[project]\nname = "live"\n[tracking]\nport = 5600\n')
    (root / "flows").mkdir()
    for flow in sorted((Path(__file__).parent / "cli" / "flows").glob("*.py")):
        (root / "flows" / flow.name).write_text(flow.read_text())
    done = run_box(root, "up", "--detach")
    assert done.returncode == 0, done.stderr
    done = run_box(root, "wait", "--all", "--timeout", "400")
    assert done.returncode == 0, done.stderr
    yield root
    run_box(root, "down")
