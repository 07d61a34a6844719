"""A state file of an older boxplat: what it served is served again, with a past to go back to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import MIGRATIONS
from boxplat.releases.lineage import live_before
from boxplat.releases.wanted import wanted

OLD = """
insert into service (name, kind, spec, desired, state, pid, port, since) values
    ('tracking', 'service', '{"name": "tracking", "command": ["x"]}', 1, 'running', 1, 5000, 0),
    ('delay', 'endpoint', '{"name": "delay", "command": ["x"], "port": 3000}', 1, 'running', 2, 3000, 0);
insert into release (endpoint, number, bento, environment, created, created_by, state) values
    ('delay', 1, 'delay:c1', 'sha256:0', 10, 'ada/cli', 'retired'),
    ('delay', 2, 'delay:c2', 'sha256:0', 20, 'ada/cli', 'failed'),
    ('delay', 3, 'delay:c3', 'sha256:0', 30, 'ada/cli', 'live'),
    ('gone', 1, 'gone:c1', 'sha256:0', 15, 'ada/cli', 'retired');
insert into traffic (endpoint, number, weight) values ('delay', 3, 100);
"""


@pytest.fixture
def old(project: Path) -> StateStore:
    paths = Paths(project)
    paths.create()
    with sqlite3.connect(paths.database) as connection:
        connection.executescript(";".join(MIGRATIONS[:2]) + ";" + OLD + "pragma user_version = 2;")
    connection.close()
    return StateStore.open(paths)


def test_what_served_is_wanted_as_a_process_of_its_own(old: StateStore) -> None:
    assert [*wanted(old, moved=True)] == ["delay@3"]
    assert [row.name for row in old.services.all()] == ["tracking"], "its socket would keep the gateway from its port"
    assert old.releases.traffic("delay") == {3: 100} and old.releases.shadow("delay") is None
    assert [release.state for release in old.releases.all("delay")] == ["live", "failed", "retired"]


def test_a_rollback_knows_what_was_live_before(old: StateStore) -> None:
    assert live_before(old.changes.history("delay")) == {1: 100}
    assert old.changes.current() == [] and old.changes.owing() == []
