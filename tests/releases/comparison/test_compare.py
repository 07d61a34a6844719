"""Two releases beside each other: who is compared with whom on which predictions, and what comes out."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.comparison import telling, traffic
from boxplat.releases.comparison.compare import Comparison, compare
from boxplat.releases.comparison.verdict import Verdict
from boxplat.releases.why.periods import Period
from tests.conftest import run_box
from tests.releases.comparison.logged import label, log, releases

# Far enough from the change of traffic for the gateway, and for the labels.
SOON, LATER = 10.0, 1000.0


def period(begin: float, end: float | None, weights: dict[int, int], shadow: int | None = None) -> Period:
    return Period(begin, end, weights, shadow, "me", "split", "", 1)


def test_only_times_with_a_choice_count() -> None:
    """Not while one had everything; a change that is none for the two does not begin anew; each real one waits."""
    known = [
        period(0, 100, {1: 100}),
        period(100, 200, {1: 90, 2: 10}),
        period(200, 300, {1: 45, 2: 5, 3: 50}),
        period(300, 400, {1: 50, 2: 50}),
        period(400, 500, {2: 100}, shadow=1),
        period(500, None, {1: 50, 2: 50}),
    ]
    lag = traffic.LAG_SECONDS
    assert traffic.beside(known, 1, 2) == [
        (100 + lag, 300, 0.1),
        (300 + lag, 400, 0.5),
        (500 + lag, math.inf, 0.5),
    ]
    assert traffic.pair(known) == (1, 2)
    assert traffic.pair(known[:3]) == (1, 3)
    assert traffic.pair([*known, period(600, None, {4: 90, 5: 10}, shadow=7)]) == (4, 7)
    assert traffic.pair(known[:1]) is None


def answered(
    paths: Paths, count: int, share: float = 0.5, gain: float = 0.0, start: float = SOON, seed: int = 1, at: float = 0.0
) -> np.ndarray:
    """A split of `count` requests a millisecond apart; the newer release (2) sees `gain` more of what will happen.

    They begin `start` seconds after `at`, which is now where nothing else is said.
    """
    rng = np.random.default_rng(seed)
    truth, newer = rng.random(count) < 0.3, rng.random(count) < share
    scores = np.clip(rng.beta(3, 6, count) + gain * newer * (truth - 0.3), 0, 1)
    now = (at or time.time()) + start
    log(
        paths,
        [
            {"id": f"{seed}-{i}", "time": now + i / 1000, "release": 1 + int(newer[i]), "prediction": scores[i]}
            for i in range(count)
        ],
    )
    label(paths, [{"id": f"{seed}-{i}", "label": bool(truth[i])} for i in range(count)])
    return newer


def compared(state: StateStore, paths: Paths, config: Config) -> Comparison:
    return compare(state, paths, config, "delay", now=time.time() + LATER)


@pytest.mark.parametrize(
    ("gain", "margin", "verdict"),
    [(0.5, 0.005, "better"), (-0.5, 0.005, "worse"), (0.0, 0.05, "equal"), (0.0, 0.001, "undecided")],
)
def test_verdicts(
    state: StateStore, paths: Paths, settings: Callable[[str], Config], gain: float, margin: float, verdict: str
) -> None:
    releases(state, 2)
    state.releases.split("delay", {1: 80, 2: 20}, "me")
    newer = answered(paths, 6000, 0.2, gain)
    found = compared(state, paths, settings(f"[outcomes.delay]\nmargin = {margin}\n"))
    assert (found.verdict, found.method, found.older, found.newer) == (verdict, "split", 1, 2)
    assert [one.labelled for one in found.answers] == [6000 - newer.sum(), newer.sum()] and not found.problems
    assert (found.effect.missing is not None) == (verdict == "undecided")
    # By the plain means, which are right where nothing changes.
    assert found.effect.estimate == pytest.approx(found.effect.newer_loss - found.effect.older_loss, abs=0.004)
    assert verdict in telling.words(found) or "not decided yet: about" in telling.words(found)


def test_what_was_shown_stays_the_verdict_until_the_contrary_is(
    state: StateStore, paths: Paths, settings: Callable[[str], Config]
) -> None:
    """Whoever acts on a verdict must find it again a second later, whatever labels came meanwhile."""
    releases(state, 2)
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    answered(paths, 1000, gain=0.5)
    shown = compared(state, paths, settings("")).effect
    answered(paths, 1800, gain=-0.25, start=SOON + 2, seed=2)
    later = compared(state, paths, settings(""))
    assert (shown.verdict, shown.first) == (later.verdict, later.effect.first) == ("better", shown.first)
    assert later.effect.low <= 0 <= later.effect.high and "shrunk" in telling.words(later)
    answered(paths, 6000, gain=-0.5, start=SOON + 4, seed=3)
    last = compared(state, paths, settings(""))
    assert last.verdict == "worse" and last.effect.first > 2800 and "shrunk" not in telling.words(last)


def test_what_the_gateway_may_not_have_known_yet_does_not_count(
    state: StateStore, paths: Paths, settings: Callable[[str], Config]
) -> None:
    releases(state, 2)
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    change = state.record.entries("endpoint/delay", ("traffic.set",))[-1]
    answered(paths, 100, start=0.0, at=change.at)
    assert compared(state, paths, settings("")).effect.units == 0
    answered(paths, 100, seed=2)
    assert compared(state, paths, settings("")).effect.units == 100


def test_labels_that_come_more_often_for_one_release_are_told(
    state: StateStore, paths: Paths, settings: Callable[[str], Config]
) -> None:
    releases(state, 2)
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    answered(paths, 2000, 0.6)
    (problem,) = compared(state, paths, settings("")).problems
    assert "of the traffic 50.0%" in problem


def test_all_requests_of_a_key_are_one_unit(state: StateStore, paths: Paths, settings: Callable[[str], Config]) -> None:
    """Twenty keys that differ by much, a thousand requests of each: that proves nothing about the releases."""
    releases(state, 2)
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    rng = np.random.default_rng(8)
    now, hard, went = time.time() + SOON, rng.random(20), rng.random(20) < 0.5
    rows = [
        {
            "id": f"{k}-{i}",
            "time": now + i,
            "release": 1 + int(went[k]),
            "prediction": float(rng.random() < hard[k]),
            "keys": {"user": k},
        }
        for k in range(20)
        for i in range(200)
    ]
    log(paths, rows)
    label(paths, [{"id": row["id"], "label": 0} for row in rows])
    alone = compared(state, paths, settings(""))
    assert alone.verdict is not Verdict.UNDECIDED and alone.effect.units == 4000
    together = compared(state, paths, settings('[outcomes.delay]\nunit = ["user"]\n'))
    assert together.verdict is Verdict.UNDECIDED and together.effect.units == 20 and not together.problems
    mistaken = compared(state, paths, settings('[outcomes.delay]\nunit = ["usr"]\n'))
    assert "no prediction has the keys usr" in mistaken.problems[0]


@pytest.mark.parametrize("unseen", [1, 2])
def test_a_shadow_is_compared_answer_by_answer(
    state: StateStore, paths: Paths, settings: Callable[[str], Config], unseen: int
) -> None:
    """The newer one before it is promoted, or the older one after that."""
    releases(state, 2)
    state.releases.split("delay", {3 - unseen: 100}, "me", shadow=unseen)
    rng, now = np.random.default_rng(9), time.time() + SOON
    scores = rng.beta(2, 5, 1000)
    rows = [
        {"id": str(i), "time": now + i / 100, "release": release, "prediction": scores[i] * (1.0, 0.9)[release - 1]}
        for release in (1, 2)
        # One that the shadow could not answer is no pair.
        for i in range(1000)
        if i or release != unseen
    ]
    rows = [{**row, "shadow": row["release"] == unseen} for row in rows]
    log(paths, rows)
    label(paths, [{"id": str(i), "label": 0} for i in range(1000)])
    found = compared(state, paths, settings(""))
    assert (found.method, found.effect.units, found.verdict) == ("shadow", 999, "better")
    expected = ((0.9 * scores[1:]) ** 2 - scores[1:] ** 2).mean()
    assert found.effect.estimate == pytest.approx(expected)


def test_what_cannot_be_compared(state: StateStore, paths: Paths, settings: Callable[[str], Config]) -> None:
    releases(state, 3)
    state.releases.split("delay", {1: 100}, "me")
    with pytest.raises(BoxError, match="nothing to compare") as caught:
        compared(state, paths, settings(""))
    assert caught.value.code == ExitCode.PRECONDITION
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    with pytest.raises(BoxError, match="no release '9'"):
        compare(state, paths, settings(""), "delay", (1, 9))
    with pytest.raises(BoxError, match="nothing to compare"):
        compare(state, paths, settings(""), "delay", (1, 3))
    with pytest.raises(BoxError, match="release 2 is itself"):
        compare(state, paths, settings(""), "delay", (2, 2))
    with pytest.raises(BoxError, match="is no time"):
        compare(state, paths, settings(""), "delay", since=-1e18)
    (paths.root / "boxplat.toml").write_text("")
    with pytest.raises(BoxError, match="cannot be taken one by one") as caught:
        compared(state, paths, settings('sticky = "x-user"\n'))
    assert caught.value.code == ExitCode.PRECONDITION


def test_the_command_line(state: StateStore, paths: Paths, settings: Callable[[str], Config]) -> None:
    settings("")
    releases(state, 2)
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    answered(paths, 500, start=LATER)
    file: Path = paths.root / "more.csv"
    file.write_text("id,label\nlater,1\n")
    added = run_box(paths.root, "outcomes", "add", "delay", str(file), "--json")
    assert json.loads(added.stdout)["added"] == {
        "rows": 1, "new": 1, "same": 0, "corrected": 0, "refused": 0, "words": 0,
    }  # fmt: skip
    shown = json.loads(run_box(paths.root, "outcomes", "show", "delay", "--json").stdout)
    assert (shown["outcomes"]["labels"], shown["outcomes"]["waiting"]) == (501, 1)
    listed = json.loads(run_box(paths.root, "outcomes", "list", "delay", "--limit", "3", "--json").stdout)["outcomes"]
    assert [row["id"] for row in listed] == ["1-497", "1-498", "1-499"]
    assert all(row["loss"] == pytest.approx((row["prediction"] - row["label"]) ** 2) for row in listed)
    # Its labels are of the future, which does not count.
    found = run_box(paths.root, "compare", "delay", "--json")
    assert json.loads(found.stdout)["comparison"]["effect"]["verdict"] == "undecided"
    assert "NaN" not in found.stdout
    assert "no prediction of the two has an outcome" in run_box(paths.root, "compare", "delay", "1", "2").stdout
    assert run_box(paths.root, "compare", "delay", "1").returncode == ExitCode.USAGE
    assert run_box(paths.root, "compare", "delay", "--since", "9999999999999d").returncode == ExitCode.USAGE
