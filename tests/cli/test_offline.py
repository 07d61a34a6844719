"""The whole stack with the network cut off: a namespace with nothing but loopback."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ALONE = ["unshare", "--net", "--map-root-user"]
SCRIPT = """
set -e
ip link set lo up
box() { "$PYTHON" -m boxplat "$@"; }
box up --detach
box wait --all --timeout 240
box run flows/adds.py --param n=4 --wait
# A server that is slow to answer may hear of a run a moment after its end.
for _ in $(seq 240); do box runs 1 | grep -q "mlflow run" && break; sleep 0.5; done
box runs 1
box down
"""


def may_be_alone() -> bool:
    """Whether this machine lets a user make a network namespace."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        return False
    return subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


def test_a_box_starts_and_runs_a_flow_without_a_network(project: Path) -> None:
    if not may_be_alone():
        pytest.skip("no network namespaces here")
    (project / "flows").mkdir()
    shutil.copy(Path(__file__).parent / "flows" / "adds.py", project / "flows")
    argv = [*ALONE, "env", f"PYTHON={sys.executable}", "bash", "-c", SCRIPT]
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    assert "total is 10" in done.stderr and "mlflow run" in done.stdout, "it ran, and MLflow knows of it"
