"""The databases behind the jobs: what they must not do to other processes, users and secrets."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import connect
from boxplat.features.engine.plan import Options

FORKED = """
import os, sys
from boxplat.features.engine.plan import Options
from boxplat.features.database import connect

def count():
    with connect(Options(threads=2)) as con:
        return con.sql("SELECT count(*) FROM range(1000000) t(a) WHERE hash(a) % 2 = 0").fetchall()

before, child = count(), os.fork()
assert count() == before
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_fork_works_and_ends_like_any_process() -> None:
    """With a copy of its parent's database it would hang or crash when it ends."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["my_secret", "session_token", "api_key"])
def test_the_value_of_a_misspelt_secret_is_not_told(name: str) -> None:
    with pytest.raises(BoxError, match=name) as refused:
        connect(Options(settings={name: "hunter2"}))
    assert refused.value.code is ExitCode.USAGE and "hunter2" not in f"{refused.value} {refused.value.why}"
    with pytest.raises(BoxError, match="'oops'"):
        connect(Options(settings={"preserve_insertion_order": "oops"}))


@pytest.mark.parametrize("made", ["open", "link"])
def test_a_folder_that_others_can_open_is_not_spilled_to(
    made: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = tmp_path / f"boxplat-duckdb-{os.getuid()}"
    if made == "link":
        folder.symlink_to(tmp_path)
    else:
        folder.mkdir()
        folder.chmod(0o755)
    with pytest.raises(BoxError, match="cannot spill"):
        connect(Options())
    connect(Options(temp_directory=str(tmp_path / "mine"))).close()
