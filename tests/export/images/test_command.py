"""`box export images` on the command line, in a project without releases and without an engine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from boxplat.cli import box
from boxplat.core.paths import Paths

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def copy(project: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(project.root, tmp_path / "late")
    monkeypatch.setenv("BOX_PROJECT", str(tmp_path / "late"))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    return tmp_path


def call(*words: str) -> Result:
    return CliRunner().invoke(box, ["export", "images", *words])


def test_what_another_builder_made_is_pinned(copy: Path) -> None:
    (copy / "digests.json").write_text(json.dumps({"flows": f"registry/flows@{DIGEST}"}))
    done = call("--record", str(copy / "digests.json"), "-o", str(copy / "out"), "--only", "flows", "--json")
    assert done.exit_code == 0, done.output
    (image,) = json.loads(done.stdout)["images"]
    assert image["recorded"]["pinned"] == f"registry/flows@{DIGEST}"
    assert (copy / "out" / "flows" / "app" / "flows" / "late" / "model.py").is_file()
    table = call().stdout
    assert [line.split()[-1] for line in table.splitlines()[1:]] == ["no", "pushed", "no", "no"]


def test_without_an_engine_building_says_what_to_do(copy: Path) -> None:
    done = call("--build")
    assert done.exit_code == 4
    assert "DOCKER_HOST" in done.stderr
    assert "Traceback" not in done.output
