"""The audit log: pages of it, filters, and its place in time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.model import Event
from boxplat.core.paths import Paths
from boxplat.core.patterns import matcher
from boxplat.core.state import StateStore

KINDS = ("run.queued", "run.failed", "runner.gone", "endpoint.traffic", "run")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> StateStore:
    root: Path = tmp_path_factory.mktemp("events")
    (root / "boxplat.toml").write_text('[project]\nname = "events"\n')
    store = StateStore.open(Paths(root))
    with store.database.write() as tx:
        rows = [
            (100.0 + number // 3, f"run/{number % 7}", KINDS[number % 5], f'{{"exit_code": {number % 4}}}')
            for number in range(400)
        ]
        tx.connection.executemany("insert into event (at, subject, kind, data) values (?, ?, ?, ?)", rows)
    return store


def oracle(every: list[Event], after: int, before: int | None, subject: str | None, kind: str | None) -> list[Event]:
    kept = [one for one in every if one.id > after and (before is None or one.id < before)]
    kept = [one for one in kept if subject in (None, one.subject)]
    return [one for one in kept if kind is None or one.kind == kind or one.kind.startswith(f"{kind}.")]


@given(
    st.integers(-1, 402),
    st.none() | st.integers(-1, 402),
    st.sampled_from([None, "run/3", "run", "nobody"]),
    st.sampled_from([None, "run", "run.failed", "endpoint", "run.", "*"]),
    st.integers(1, 30),
)
@settings(deadline=None)
def test_a_page_is_the_newest_that_pass(
    state: StateStore, after: int, before: int | None, subject: str | None, kind: str | None, limit: int
) -> None:
    every = state.events.all(limit=1000)
    found = state.events.all(after, subject, limit, before, None if kind == "*" else kind)
    assert found == oracle(every, after, before, subject, None if kind == "*" else kind)[-limit:]


def test_pages_one_after_the_other_are_the_whole_log(state: StateStore) -> None:
    found: list[int] = []
    before = None
    while page := state.events.all(limit=60, before=before):
        found = [one.id for one in page] + found
        before = page[0].id
    assert found == list(range(1, 401))


@pytest.mark.parametrize(
    ("match", "words"),
    [("exit_code=3", 100), ("!exit_code", 0), ("RUN/3", 57), ("traffic", 80), ("a[", 0), ("!run", 0)],
)
def test_a_filter_is_over_kind_subject_and_data(state: StateStore, match: str, words: int) -> None:
    found = state.events.all(limit=1000, match=match)
    assert len(found) == words
    passes = matcher(match)
    assert all(passes(f"{one.kind} {one.subject} exit_code={one.data['exit_code']}") for one in found)


@given(st.floats(0, 400))
@settings(deadline=None)
def test_the_log_is_opened_at_a_moment(state: StateStore, moment: float) -> None:
    every = state.events.all(limit=1000)
    assert state.events.since(moment) == next((one.id for one in every if one.at >= moment), every[-1].id)


def test_an_empty_log_has_no_moment(tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text('[project]\nname = "none"\n')
    assert StateStore.open(Paths(tmp_path)).events.since(5.0) == 0
