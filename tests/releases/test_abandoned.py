"""Changes whose command is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.abandoned import abandon


@pytest.mark.parametrize(("kind", "state_after"), [("deploy", "failed"), ("split", "created")])
def test_only_a_deploy_takes_the_release_with_it(tmp_path: Path, kind: str, state_after: str) -> None:
    """A release that an earlier deploy has made, started and warmed is none the worse for a split that was killed."""
    paths = Paths(tmp_path)
    paths.create()
    state = StateStore.open(paths)
    state.releases.add("adder", "bento", None, None, None, "env", "test")
    change = state.changes.open("adder", kind, {1: 100}, "test")
    abandon(state, change, "supervisor")
    assert [release.state for release in state.releases.all("adder")] == [state_after]
    assert state.changes.current("adder") == []
