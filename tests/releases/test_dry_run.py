"""What a rollback would return to, told before it is done."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from boxplat.box import Box
from boxplat.cli import box as command
from boxplat.core.errors import BoxError, ExitCode

SETTINGS = '[endpoints.delay]\nmodel = "delay"\nalias = "champion"\n'


@pytest.fixture
def box(tmp_path: Path) -> Box:
    (tmp_path / "boxplat.toml").write_text(SETTINGS)
    found = Box(tmp_path, by="test")
    for version in (3, 4, 5):
        found.state.releases.add(
            endpoint="delay",
            bento="b:1",
            model="delay",
            model_version=version,
            feature_service=None,
            environment="e",
            by="test",
        )
    return found


def test_it_is_what_the_rollback_would_do_and_changes_nothing(box: Box) -> None:
    for weights in ({1: 100}, {1: 90, 2: 10}, {2: 100}):
        box.state.releases.split("delay", weights, "test")
    found = box.endpoints.before("delay")
    assert found.weights == {1: 100} and found.alias == {"model": "delay", "alias": "champion", "version": 3}
    told = CliRunner().invoke(command, ["--project", str(box.root), "rollback", "delay", "--dry-run"])
    assert told.stdout == "delay would return to release 1: 100 %; the alias champion of delay goes to version 3\n"
    shown = CliRunner().invoke(command, ["--project", str(box.root), "rollback", "delay", "2", "--dry-run", "--json"])
    assert json.loads(shown.stdout)["rollback"] == {
        "weights": {"2": 100},
        "alias": {"model": "delay", "alias": "champion", "version": 4},
    }
    assert box.state.releases.traffic("delay") == {2: 100} and len(box.state.changes.history("delay")) == 3


def test_what_cannot_be_returned_to_is_said(box: Box) -> None:
    box.state.releases.split("delay", {1: 100}, "test")
    for number, code in ((None, ExitCode.NOT_FOUND), (3, ExitCode.USAGE), (9, ExitCode.NOT_FOUND)):
        with pytest.raises(BoxError) as caught:
            box.endpoints.before("delay", number)
        assert caught.value.code is code
