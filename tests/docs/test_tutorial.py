"""The tutorial's own flow and endpoint, taken from its text and run in a new project."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from tests.docs.documents import ROOT, blocks

pytestmark = pytest.mark.integration
TUTORIAL = ROOT / "docs" / "tutorial.md"
FLIGHTS = "(values ('JFK', 12, 1), ('JFK', 12, 0), ('EWR', 12, 1), ('EWR', 11, 0)) t (origin, month, y)"


def box(project: Path, *words: str) -> str:
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    command = [sys.executable, "-m", "boxplat", *words]
    done = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"box {' '.join(words)}: {done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """An empty project with the files that the reader saves, and a few flights instead of the ingest flow's many."""
    folder = tmp_path / "project"
    box(tmp_path, "init", str(folder), "--empty")
    for block in blocks("python"):
        title = re.match(r"# (\S+\.py)\n", block.text)
        if block.document == TUTORIAL and title:
            (folder / title[1]).parent.mkdir(parents=True, exist_ok=True)
            (folder / title[1]).write_text(block.text)
    own = "".join(block.text for block in blocks("toml") if block.document == TUTORIAL)
    (folder / "boxplat.toml").write_text(f"[tracking]\nport = 0\n{own}".replace("port = 3100", "port = 0"))
    box(folder, "up", "--detach")
    raw = folder / ".box" / "data" / "raw"
    raw.mkdir(parents=True)
    duckdb.execute(f"copy (from {FLIGHTS}) to '{raw / 'flight.parquet'}'")
    try:
        box(folder, "wait", "--all", "--timeout", "300")
        yield folder
    finally:
        box(folder, "down")


def test_own_flow_and_own_endpoint(project: Path) -> None:
    box(project, "run", "flows/share.py", "--param", "month=12", "--wait")
    (model,) = json.loads(box(project, "models", "show", "share", "--json"))["models"]
    assert model["aliases"] == ["champion"]
    box(project, "deploy", "share")
    assert json.loads(box(project, "predict", "share", '{"origin": "JFK"}')) == 0.5
