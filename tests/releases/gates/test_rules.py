"""Each gate's rule on evidence made for it: what passes, what is refused, what is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from boxplat.core.gates import GateConfig
from boxplat.releases.gates.evidence import Evidence, HeldOut, Leakage, Shown
from boxplat.releases.gates.rules import judge
from boxplat.releases.gates.verdict import Gate, Judgement, Outcome

RNG = np.random.default_rng(5)
N = 4000
LABELS = (RNG.random(N) < 0.3).astype(float)
NOISE = RNG.normal(0, 1, N)


def answers(skill: float, seed: int | None = None) -> np.ndarray:
    """Probabilities that rank as well as `skill` says; with a seed, of a model with errors of its own."""
    noise = NOISE if seed is None else np.random.default_rng(seed).normal(0, 1, N)
    return 1 / (1 + np.exp(-(skill * (LABELS * 2 - 1) + noise - 1)))


def shown(version: int, skill: float, seed: int | None = None, **more: object) -> Shown:
    base = Shown(version, answers(skill, seed), (1.0, 1.1, 0.9), 2**20, ("float32 [N, 3]",), ("float32 [N]",))
    return replace(base, **more)


ROWS = HeldOut(LABELS, np.arange(N), {"half": np.where(np.arange(N) < N // 2, "a", "b")}, "test")
CLEAN = Leakage("train.parquet")


def evidence(new: Shown, old: Shown | None, rows: HeldOut = ROWS, leakage: Leakage | None = CLEAN, **more) -> Evidence:
    return Evidence(rows, new, old, leakage, **more)


def gates(said: GateConfig, seen: Evidence) -> dict[str, Gate]:
    return {gate.name: gate for gate in judge(said, seen)}


@pytest.mark.parametrize(
    ("new", "seed", "outcome", "says"),
    [
        (1.2, None, Outcome.PASSED, ": better"),
        (1.0, None, Outcome.PASSED, ": not worse"),
        (0.8, None, Outcome.REFUSED, ": worse"),
        (1.0, 3, Outcome.REFUSED, ""),
    ],
)
def test_not_worse_means_surely_not_worse(new: float, seed: int | None, outcome: Outcome, says: str) -> None:
    """The last one is as good, but its errors are others: with so few rows nobody can tell."""
    found = gates(GateConfig(margin=0.005), evidence(shown(2, new, seed), shown(1, 1.0)))["metric"]
    assert found.outcome is outcome and says in found.found
    value, low, high = found.numbers["gain"]
    assert low <= value <= high


def test_too_few_rows_are_said_to_be_too_few() -> None:
    some = ROWS.take(np.arange(N) < 120)
    new, old = shown(2, 1.05, 3), shown(1, 1.0)
    cut = [replace(one, answers=one.answers[:120]) for one in (new, old)]
    found = gates(GateConfig(margin=0.05), evidence(cut[0], cut[1], some))["metric"]
    assert found.outcome is Outcome.REFUSED and "too few rows to tell" in found.found


def test_superior_asks_for_more_than_equal() -> None:
    assert gates(GateConfig(superior=True), evidence(shown(2, 1.0), shown(1, 1.0)))["metric"].outcome is Outcome.REFUSED
    assert gates(GateConfig(superior=True), evidence(shown(2, 1.2), shown(1, 1.0)))["metric"].outcome is Outcome.PASSED


def test_the_first_version_must_beat_the_constant_answer() -> None:
    good, blind = (gates(GateConfig(), evidence(shown(1, skill, 9), None)) for skill in (1.0, 0.0))
    assert good["metric"].outcome is Outcome.PASSED and "constant" in good["metric"].rule
    assert blind["metric"].outcome is Outcome.REFUSED
    assert good["signature"].outcome is Outcome.SKIPPED


def test_bars_are_higher_or_lower_as_the_metric_is() -> None:
    said = GateConfig(require={"auc": "0.8", "brier": "0.01"})
    found = gates(said, evidence(shown(1, 1.5), None))
    assert (found["require auc"].outcome, found["require brier"].outcome) == (Outcome.PASSED, Outcome.REFUSED)


def test_a_slice_left_behind_is_named_and_few_rows_are_not_judged() -> None:
    """Slice b loses what it had, which the whole does not show; slice c has 50 rows only."""
    half = np.where(np.arange(N) < N - 50, ROWS.slices["half"], "c")
    rows = replace(ROWS, slices={"half": half})
    mixed = np.where(half == "b", answers(0.8), answers(3.0))
    said = GateConfig(slices=("half", "third"), slice_floor=0.9)
    found = gates(said, evidence(replace(shown(2, 1.0), answers=mixed), shown(1, 1.0), rows))
    assert found["metric"].outcome is Outcome.PASSED
    bad = found["slice half"]
    assert bad.outcome is Outcome.REFUSED and "b with" in bad.found and "not judged: c" in bad.found
    assert bad.numbers["too_few"] == ["c"] and bad.numbers["slices"]["a"]["rows"] == N // 2
    assert found["slice third"].outcome is Outcome.REFUSED and "they have: half" in found["slice third"].found


def test_a_slice_surely_worse_than_the_champion_refuses_without_a_floor() -> None:
    mixed = np.where(ROWS.slices["half"] == "b", answers(0.7), answers(1.6))
    found = gates(GateConfig(slices=("half",)), evidence(replace(shown(2, 1.0), answers=mixed), shown(1, 1.0)))
    assert found["slice half"].outcome is Outcome.REFUSED and "gain -" in found["slice half"].found


def test_calibration_and_what_is_no_probability() -> None:
    said = GateConfig(calibration_error=0.05)
    rate = np.full(N, LABELS.mean())
    for given, outcome in ((rate, Outcome.PASSED), (rate + 0.2, Outcome.REFUSED), (rate * 9, Outcome.REFUSED)):
        found = gates(said, evidence(replace(shown(1, 1.0), answers=given), None))["calibration"]
        assert found.outcome is outcome
    assert "no probabilities" in found.found
    assert "calibration" not in gates(GateConfig(), evidence(shown(1, 1.0), None))


def test_latency_is_judged_by_medians_of_the_same_turns() -> None:
    said = GateConfig(latency_ms=2.0, latency_ratio=1.5)
    slow = shown(2, 1.0, milliseconds=(1.6, 9.0, 1.6))
    found = gates(said, evidence(slow, shown(1, 1.0, milliseconds=(1.0, 8.0, 1.0))))
    assert found["latency"].outcome is Outcome.PASSED
    assert found["latency ratio"].outcome is Outcome.REFUSED and found["latency ratio"].numbers["ratio"] == 1.6
    assert gates(said, evidence(slow, None))["latency ratio"].outcome is Outcome.SKIPPED


def test_size_and_signature() -> None:
    said = GateConfig(size_mib=0.5)
    other = shown(2, 1.0, takes=("float32 [N, 4]",))
    found = gates(said, evidence(other, shown(1, 1.0)))
    assert found["size"].outcome is found["signature"].outcome is Outcome.REFUSED
    assert "takes float32 [N, 4], the champion float32 [N, 3]" in found["signature"].found
    elsewhere = shown(2, 1.0, feature_service="delay_v2")
    found = gates(GateConfig(), evidence(elsewhere, shown(1, 1.0), expected_services=("delay_v1",)))
    assert "features delay_v2, the endpoint has delay_v1" in found["signature"].found


def test_leakage_names_the_columns_and_silence_refuses() -> None:
    leak = Leakage("t.parquet", faults={"knows the future": ("mins", "sched_el")})
    for given, outcome, says in (
        (leak, Outcome.REFUSED, "mins, sched_el: knows the future (t.parquet)"),
        (Leakage(problem="it is gone"), Outcome.REFUSED, "it is gone"),
        (None, Outcome.REFUSED, "not audited"),
        (Leakage("t.parquet", ignored=("other",)), Outcome.PASSED, "not read: other"),
        (Leakage("t.parquet", other="a control did not fire"), Outcome.REFUSED, "did not fire"),
    ):
        found = gates(GateConfig(), evidence(shown(1, 1.0), None, leakage=given))["leakage"]
        assert found.outcome is outcome and says in found.found
    assert "leakage" not in gates(GateConfig(leakage=False), evidence(shown(1, 1.0), None, leakage=leak))


def test_a_refusal_has_four_parts_and_exit_code_5() -> None:
    found = judge(GateConfig(size_mib=0.5), evidence(shown(2, 0.5), shown(1, 1.0)))
    judgement = Judgement("delay", 2, "champion", 1, found)
    error = judgement.refusal()
    assert not judgement.passed and int(error.code) == 5
    assert error.what.endswith("metric, size") and "--force --reason" in error.fix and "rule:" in error.why
    told = {one["gate"]: one["passed"] for one in judgement.told()}
    assert told == {"metric": False, "size": False, "signature": True, "leakage": True}


@pytest.mark.parametrize("metric", ["auc", "brier"])
def test_no_gate_passes_for_want_of_evidence(metric: str) -> None:
    """Two rows ranked rightly, or 500 of one group, have intervals without width, and prove nothing."""
    said = GateConfig(metric=metric, require={metric: "0.5"}, calibration_error=0.9)
    two = HeldOut(np.array([0.0, 1.0]), np.arange(2), {}, "test")
    one = HeldOut(LABELS[:500], np.zeros(500), {}, "test")
    for rows, answers_ in ((two, np.array([0.1, 0.9])), (one, answers(3.0)[:500])):
        found = gates(said, evidence(replace(shown(1, 1.0), answers=answers_), None, rows))
        for name in ("metric", f"require {metric}", "calibration"):
            assert found[name].outcome is Outcome.REFUSED and "too few rows to tell" in found[name].found, name


def test_slices_that_are_all_too_small_refuse_where_something_was_asked_of_them() -> None:
    for said, old, outcome in (
        (GateConfig(slices=("half",), slice_rows=N, slice_floor=0.5), None, Outcome.REFUSED),
        (GateConfig(slices=("half",), slice_rows=N), shown(1, 1.0), Outcome.REFUSED),
        (GateConfig(slices=("half",), slice_rows=N), None, Outcome.SKIPPED),
    ):
        assert gates(said, evidence(shown(2, 1.2), old))["slice half"].outcome is outcome


def test_the_same_answers_are_not_better() -> None:
    found = gates(GateConfig(margin=0.0), evidence(shown(2, 1.0), shown(1, 1.0)))["metric"]
    assert found.found.endswith("not better") and found.rule.endswith("above 0")
