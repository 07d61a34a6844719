"""Guard-rails: what breaks one, what does not, and what happens then."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.comparison import guards
from boxplat.releases.comparison.drift import stability_index
from boxplat.releases.comparison.guarded import Guarded, guarded
from boxplat.releases.comparison.guards import Breach, Look, above
from boxplat.releases.comparison.watch import due, look
from tests.releases.comparison.logged import label, log, releases
from tests.releases.comparison.test_compare import period

Settings = Callable[[str], Config]
DAY = 86400.0


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], None),
        ([period(0, None, {})], None),
        # There is nothing to return to.
        ([period(0, None, {1: 100})], None),
        ([period(0, 10, {1: 100}), period(10, None, {2: 100})], Guarded(2, 1, False, 10)),
        (
            [period(0, 10, {1: 100}), period(10, 20, {1: 90, 2: 10}), period(20, None, {2: 100})],
            Guarded(2, 1, False, 10),
        ),
        ([period(0, 10, {1: 100}), period(10, None, {1: 60, 2: 30, 3: 10})], Guarded(3, 1, True, 10)),
        # Taken back, it is under guard no more; given traffic again, what it did before counts no more.
        ([period(0, 10, {1: 100}), period(10, 20, {2: 100}), period(20, None, {1: 100})], None),
        (
            [period(0, 10, {1: 90, 2: 10}), period(10, 20, {1: 100}), period(20, None, {1: 90, 2: 10})],
            Guarded(2, 1, True, 20),
        ),
        # A split is watched as long as it lasts, a release alone while it is young.
        ([period(-9 * DAY, -8 * DAY, {1: 100}), period(-8 * DAY, None, {1: 50, 2: 50})], Guarded(2, 1, True, -8 * DAY)),
        ([period(-9 * DAY, -8 * DAY, {1: 100}), period(-8 * DAY, None, {2: 100})], None),
    ],
)
def test_who_is_under_guard(known: list[object], expected: Guarded | None) -> None:
    assert guarded(known, DAY, 100.0) == expected  # type: ignore[arg-type]


def test_the_evidence_for_a_share_above_its_limit() -> None:
    """Never much where it is at the limit, soon enough where it is above."""
    rng = np.random.default_rng(1)
    runs = [above((rng.random(2000) < 0.02).astype(float), 0.02) for _ in range(300)]
    assert sum(run >= 100 for run in runs) <= 3
    assert above((rng.random(500) < 0.1).astype(float), 0.02) > 1000
    assert above(np.empty(0), 0.02) == 1.0


def test_drift_is_none_between_samples_of_the_same() -> None:
    """Also of few scores, of a score with one value only, and it is one where scores move."""
    rng = np.random.default_rng(2)
    assert max(stability_index(rng.beta(2, 5, 300), rng.beta(2, 5, 200)) for _ in range(50)) < 0.15
    assert stability_index(rng.beta(2, 5, 300), rng.beta(3, 4, 200)) > 0.3
    assert stability_index(np.ones(300), np.ones(200)) <= 0
    assert stability_index(np.ones(300), np.zeros(200)) > 0.3


def served(
    paths: Paths, release: int, begin: float, count: int = 400, failing: float = 0.0, wrong: float = 0.1, **facts: float
) -> None:
    """A release that answered, each request with its label."""
    rng = np.random.default_rng(release)
    rows = [
        {
            "id": f"{release}-{begin}-{i}",
            "time": begin + i / 1000,
            "release": release,
            "status": 500 if rng.random() < failing else 200,
            "prediction": facts.get("score", 0.5) * rng.random(),
            "seconds": facts.get("seconds", 0.01) * rng.random(),
        }
        for i in range(count)
    ]
    log(paths, rows)
    label(paths, [{"id": row["id"], "label": float(rng.random() < wrong)} for row in rows])


def found(state: StateStore, paths: Paths, config: Config, now: float) -> dict[str, Breach]:
    (who,) = due(state, config).values()
    return {one.guard: one for one in guards.look(state, paths, config, "delay", who, now).breaches}


@pytest.mark.parametrize(
    ("guard", "facts"),
    [
        ("errors = 0.02", {"failing": 0.2}),
        ("p99_ms = 50", {"seconds": 0.1}),
        ("drift = 0.25", {"score": 1.0}),
        ("loss = 0.3\nalpha = 0.01", {"wrong": 0.8}),
        ("alpha = 0.01", {"wrong": 0.8}),
    ],
)
def test_each_guard_finds_what_it_is_for_and_nothing_else(
    state: StateStore, paths: Paths, settings: Settings, guard: str, facts: dict[str, float]
) -> None:
    config = settings(f"[guards.delay]\n{guard}\n")
    releases(state, 2)
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    now = time.time() + 10
    served(paths, 1, now)
    served(paths, 2, now)
    assert found(state, paths, config, now + 30) == {}
    for begin in (now + 1, now + 2):
        served(paths, 1, begin)
        served(paths, 2, begin, **facts)
    broken = found(state, paths, config, now + 30)
    assert set(broken) <= {guard.split()[0], "alpha"} and guard.split()[0] in broken
    # What was in the log before the release had traffic is not held against it.
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    assert found(state, paths, config, time.time()) == {}


def test_too_few_requests_prove_nothing(state: StateStore, paths: Paths, settings: Settings) -> None:
    releases(state, 2)
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {2: 100}, "me")
    now = time.time() + 10
    served(paths, 2, now, count=150, failing=1.0)
    config = settings("[guards.delay]\nerrors = 0.02\n")
    assert found(state, paths, config, now + 30) == {}
    assert set(found(state, paths, settings("[guards.delay]\nerrors = 0.02\nleast = 100\n"), now + 30)) == {"errors"}
    # Later than the window it is forgotten.
    assert found(state, paths, config, now + 3600) == {}


def test_a_breach_is_told_and_taken_back_through_the_rollback(
    state: StateStore, paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On record once with its evidence, however often it is seen; where taking back fails it is tried again."""
    config = settings("[guards.delay]\nerrors = 0.02\n[guards.other]\nerrors = 0.1\n")
    releases(state, 2)
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {2: 100}, "me")
    served(paths, 2, time.time(), failing=0.5)
    calls = []

    def refuse(*args: object, **options: object) -> None:
        calls.append((args[3:], options))
        raise BoxError("busy", why="another change is under way", fix="wait")

    monkeypatch.setattr("boxplat.releases.traffic.rollback", refuse)
    for _ in range(2):
        assert look(state, paths, config) == []
    assert len(calls) == 2 and calls[0][0] == ("delay", "guard")
    assert "release 2 broke its guard-rails: errors" in str(calls[0][1]["reason"])
    (entry,) = state.record.entries("endpoint/delay", ("guard.breached",))
    assert (entry.data["number"], entry.data["guard"], entry.data["limit"]) == (2, "errors", 0.02)
    assert entry.data["value"] == pytest.approx(0.5, abs=0.1) and entry.data["e_value"] > 1000
    assert [event.kind for event in state.events.all(subject="delay")].count("guard.breached") == 1


def test_what_was_changed_while_it_was_looked_at_is_left_alone(
    state: StateStore, paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A roll back undoes what is newest: that would be a release that broke nothing."""
    config = settings("[guards.delay]\nerrors = 0.02\n")
    releases(state, 3)
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {2: 100}, "me")
    served(paths, 2, time.time(), failing=0.5)
    looked = guards.look

    def meanwhile(*args: Any) -> Look:
        state.releases.split("delay", {3: 100}, "somebody")
        return looked(*args)

    monkeypatch.setattr(guards, "look", meanwhile)
    assert look(state, paths, config) == []
    assert state.releases.traffic("delay") == {3: 100}
    assert state.record.entries("endpoint/delay", ("guard.breached",)) == []


_SQL = "the prediction log cannot answer this"


@pytest.mark.parametrize(
    ("more", "blind"),
    [
        ('sticky = "x-user"\n[outcomes.delay]\n', ["alpha: the requests of delay cannot be taken one by one"]),
        ('[outcomes.delay]\nloss = "squared"\n', ["loss: the loss squared has no bound", "alpha: the loss squared"]),
        ('[outcomes.delay]\nprediction = "nope"\n', [f"{name}: {_SQL}" for name in ("drift", "loss", "alpha")]),
    ],
)
def test_a_guard_that_cannot_see_is_told_and_stops_no_other(
    state: StateStore, paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch, more: str, blind: list[str]
) -> None:
    config = settings(f"{more}[guards.delay]\nerrors = 0.02\nalpha = 0.01\ndrift = 0.2\nloss = 0.9\n")
    releases(state, 2)
    state.releases.split("delay", {1: 100}, "me")
    state.releases.split("delay", {1: 50, 2: 50}, "me")
    served(paths, 1, time.time())
    served(paths, 2, time.time(), failing=1.0)
    monkeypatch.setattr("boxplat.releases.traffic.rollback", lambda *_, **__: None)
    for _ in range(2):
        assert [one.guard for one in look(state, paths, config)] == ["errors"]
    told = [str(event.data["why"]) for event in state.events.all(subject="delay") if event.kind == "guard.blind"]
    assert len(told) == len(blind) and all(why.startswith(start) for why, start in zip(told, blind, strict=True))


def test_a_verdict_is_put_on_record_when_it_is_reached(
    state: StateStore, paths: Paths, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, although the guard looks again and again, and with what it rests on."""
    monkeypatch.setattr("boxplat.releases.comparison.units.SETTLED_SECONDS", 0.0)
    config = settings("[guards.delay]\nalpha = 0.01\n")
    releases(state, 2)
    ago = time.time() - 1000
    for at, weights in ((ago - 10, {1: 100}), (ago, {1: 50, 2: 50})):
        with state.database.write() as tx:
            said = {"weights": weights, "when": at}
            state.record.append(tx, "endpoint/delay", "traffic.set", "me", said)
    served(paths, 1, ago + 10, wrong=0.9)
    served(paths, 2, ago + 10)
    for _ in range(2):
        assert look(state, paths, config) == []
    (entry,) = state.record.entries("endpoint/delay", ("comparison.verdict",))
    assert (entry.data["verdict"], entry.data["releases"]) == ("better", [1, 2])
    assert entry.data["effect"]["high"] < 0 and entry.data["effect"]["units"] == 800


@pytest.mark.integration
def test_the_process_loads_nothing_before_it_knows_that_it_must(
    project: object, paths: Paths, settings: Settings
) -> None:
    """It is started every half minute for as long as a split lasts."""
    settings("[guards.delay]\nerrors = 0.02\n")
    code = (
        "import sys, boxplat.releases.comparison.watch as watch; watch.main(); "
        "print(sorted({'numpy', 'duckdb', 'pyarrow', 'pandas'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=paths.root, capture_output=True, text=True, env={**os.environ}
    )
    assert done.stdout.strip() == "[]", done.stderr
