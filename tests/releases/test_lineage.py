"""What was really live before, told from the changes of an endpoint's traffic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from boxplat.core.state.changes import Change
from boxplat.releases.lineage import live_before


def history(*steps: Mapping[int, int] | tuple[str, Mapping[int, int]]) -> list[Change]:
    """Changes that moved the traffic one after the other; a plain one is a split."""
    found = []
    for number, step in enumerate(steps):
        kind, weights = step if isinstance(step, tuple) else ("split", step)
        times = {"began": 0.0, "moved": float(number), "ended": 0.0}
        found.append(Change(number, "x", kind, "me", "", pid=1, pid_started=1.0, weights=weights, shadow=None,
                            before={}, before_shadow=None, problem="", **times))  # fmt: skip
    return found


@pytest.mark.parametrize(
    ("steps", "before"),
    [
        ([], None),
        ([{1: 100}], None),
        ([{1: 100}, {2: 100}], {1: 100}),
        # However many splits a release came by, going back is one step, to before its first request.
        ([{1: 100}, {1: 90, 2: 10}, {1: 50, 2: 50}, {2: 100}], {1: 100}),
        ([{1: 100}, {1: 90, 2: 10}], {1: 100}),
        # Twice in a row goes further back, not forth to what was just left.
        ([{1: 100}, {2: 100}, {3: 100}, ("rollback", {2: 100})], {1: 100}),
        ([{1: 100}, {2: 100}, ("rollback", {1: 100})], None),
        # What the supervisor took the traffic from was not really live.
        ([{1: 100}, {2: 100}, {3: 100}, ("return", {2: 100})], {1: 100}),
        # Numbers do not count, time does.
        ([{2: 100}, {1: 100}], {2: 100}),
        # A release that was stopped meanwhile is live again.
        ([{1: 100}, {}, {2: 100}], {1: 100}),
    ],
)
def test_live_before(steps: Sequence[Mapping[int, int]], before: Mapping[int, int] | None) -> None:
    assert live_before(history(*steps)) == before


def test_what_has_failed_is_passed_over() -> None:
    assert live_before(history({1: 100}, {2: 100}, {3: 100}), failed=[2]) == {1: 100}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.dictionaries(st.integers(1, 4), st.just(50), min_size=1, max_size=2), max_size=8))
def test_rollbacks_come_to_an_end_and_only_return_to_what_was_live(steps: list[dict[int, int]]) -> None:
    """Each one goes to weights that were in force, with another set of releases, and there is a first that has none."""
    changes = history(*steps)
    for _ in range(len(steps) + 1):
        found = live_before(changes)
        if found is None:
            return
        assert found in steps and {*found} != {*changes[-1].weights}
        changes = [*changes, *history(("rollback", found))]
    raise AssertionError("it never ends")
