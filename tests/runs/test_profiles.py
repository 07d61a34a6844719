"""What was learnt of steps: expectations, recommendations, costs, metrics, and what the doctor says."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat import profiled
from boxplat.core.config import RatesConfig
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.profile import Peaks, Profile
from boxplat.core.state import StateStore
from boxplat.doctor.requests import judge
from boxplat.runs.profiles import expected, expected_all, learnt, metrics
from boxplat.runs.profiles.attempt import asked
from boxplat.runs.profiles.cost import Cost, cost
from boxplat.runs.profiles.expected import RUNS, summarise
from boxplat.runs.profiles.recommend import Recommendation, recommendations, recommended
from boxplat.runs.profiles.report import bill, use
from tests.conftest import run_box

MB, MIB, GIB = 10**6, 2**20, 2**30


def profile(**fields: object) -> Profile:
    known: dict[str, object] = {"run_id": 1, "step": "fit", "task": "1", "attempt": 0, "ok": True, "started": 100.0}
    return Profile(**{**known, "seconds": 10.0, **fields})  # type: ignore[arg-type]


def ran(state: StateStore, *profiles: Profile, flow: str = "F") -> int:
    run = state.runs.add("flows/f.py", flow, {})
    state.profiles.put([dataclasses.replace(row, run_id=run.id) for row in profiles])
    return run.id


def advice(**fields: object) -> Recommendation:
    """What is recommended to a step after one run with these peaks."""
    known = {"run_id": 1, "step": "fit", "memory": 0, "vram": 0, "gpus": 0, "cores": 0.0, "seconds": 1.0, "attempts": 1}
    known |= {"asked": {}, "resident": fields.get("memory", 0)}
    return recommended(summarise([Peaks(**{**known, **fields})])["fit"])  # type: ignore[arg-type]


def test_a_step_that_never_ran_is_not_known(state: StateStore) -> None:
    ran(state, profile(step="fit"), flow="Other")
    assert expected(state, "F", "fit") is None
    assert learnt(state, "F") == {}


def test_only_the_last_runs_teach_and_only_those_that_have_profiles(state: StateStore) -> None:
    ran(state, profile(memory=9 * GIB))
    for peak in range(1, RUNS + 1):
        ran(state, profile(memory=peak * MIB, seconds=float(peak)))
    state.runs.add("flows/f.py", "F", {})
    found = expected(state, "F", "fit")
    assert found is not None
    assert (found.memory, found.runs, found.seconds) == (round(RUNS * MIB * 1.05), RUNS, (1 + RUNS) / 2)


def test_an_attempt_that_failed_teaches_memory_but_not_time(state: StateStore) -> None:
    ran(state, profile(ok=False, memory=500, seconds=999.0), profile(attempt=1, memory=100, seconds=2.0))
    assert learnt(state, "F") == {"fit": {"memory": 525.0, "seconds": 2.0}}


def test_inherited_memory_is_claimed_by_nobody_but_asked_of_a_cluster(state: StateStore) -> None:
    ran(state, profile(memory=40 * MB, inherited=160 * MB))
    found = expected_all(state, "F")["fit"]
    assert (found.memory, found.resident) == (42 * MB, 210 * MB)
    assert recommendations(state, "F")["fit"].line == "@resources(cpu=1, memory=210)"


@given(st.integers(20 * MB, 2**44))
@settings(deadline=None)
def test_what_is_recommended_holds_the_peak_and_is_at_most_a_tenth_above_it(peak: int) -> None:
    assert peak <= advice(memory=peak).memory * MB <= 1.1 * peak


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 2**30), st.booleans()), min_size=1, max_size=8))
def test_the_most_of_any_attempt_counts(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    paths = Paths(tmp_path_factory.mktemp("learnt"))
    state = StateStore.open(paths)
    tried = [profile(task=str(n), memory=own, inherited=rest, ok=ok) for n, (own, rest, ok) in enumerate(rows)]
    ran(state, *tried)
    found = expected_all(state, "F")["fit"]
    state.close()
    assert found.memory == round(1.05 * max(own for own, _, _ in rows))
    assert found.resident == round(1.05 * max(own + rest for own, rest, _ in rows))
    assert (found.tasks, found.runs) == (len(rows), 1)
    assert (found.seconds is None) == (not any(ok for _, _, ok in rows))


@pytest.mark.parametrize(
    ("wanted", "used", "verdict"),
    [
        ({}, {"memory": 300 * MB}, "unasked"),
        ({"memory": 4000 * MB}, {"memory": 300 * MB}, "over"),
        ({"memory": 400 * MB}, {"memory": 300 * MB}, "fits"),
        ({"memory": 500 * MB}, {"memory": 300 * MB}, "fits"),
        ({"memory": 299 * MB}, {"memory": 300 * MB}, "under"),
        ({"cores": 4.0, "memory": 400 * MB}, {"memory": 300 * MB, "cores": 1.1}, "over"),
        ({"cores": 2.0}, {"memory": 300 * MB, "cores": 1.6}, "fits"),
        ({"vram": 40_000 * MB, "gpus": 1}, {"vram": 6000 * MB, "gpus": 1}, "over"),
        ({"vram": 40_000 * MB, "gpus": 1}, {}, "fits"),
    ],
)
def test_verdicts(wanted: dict[str, float], used: dict[str, float], verdict: str) -> None:
    assert advice(asked=wanted, **used).verdict == verdict


def test_the_line_keeps_a_gpu_that_was_asked_for_and_never_seen_here() -> None:
    seen = advice(memory=MB, vram=6000 * MB, gpus=1, asked={"gpus": 1})
    assert seen.line == "@resources(cpu=1, memory=2, gpu=1) @vram(6300)"
    unseen = advice(memory=MB, asked={"gpus": 2.0})
    assert unseen.line == "@resources(cpu=1, memory=2, gpu=2)"


def test_what_a_step_asks_for_is_counted_as_metaflow_counts() -> None:
    assert asked({"cpu": "2", "memory": 4096}) == {"cores": 2.0, "memory": 4096 * MB}
    assert asked({"gpu": 1, "vram": "6Gi"}) == {"gpus": 1.0, "vram": 6 * GIB}
    assert asked({"memory": "much"}) == asked(None) == asked([]) == {}


def test_cost_of_an_hour_is_the_sum_of_the_rates() -> None:
    rates = RatesConfig(core_hour=1, memory_gib_hour=10, gpu_hour=100, kwh=1000)
    hour = profile(seconds=3600.0, cpu_seconds=2 * 3600.0, memory=3 * GIB, inherited=GIB, gpus=1, cpu_joules=3.6e6)
    found = cost(hour, rates)
    assert (found.cores, found.memory, found.gpus, found.energy, found.total) == (2, 30, 100, 1000, 1132)
    assert cost(profile(seconds=3600.0, asked={"gpus": 2.0}), rates).gpus == 200


def test_the_bill_has_every_attempt_once(state: StateStore) -> None:
    now, rates = time.time(), RatesConfig(core_hour=1, memory_gib_hour=10, gpu_hour=100, kwh=1000)
    ran(state, profile(started=now, cpu_seconds=3600.0), profile(started=now, attempt=1, cpu_seconds=3600.0))
    ran(state, profile(started=now, cpu_seconds=3600.0))
    ran(state, profile(started=now - 86400 * 30, cpu_seconds=3600.0))
    ran(state, profile(started=now, cpu_seconds=7200.0), flow="G")
    ran(state, profile(started=now, seconds=1800.0, memory=2 * GIB, gpus=1, gpu_joules=3.6e6), flow="H")
    ran(state, profile(started=now, seconds=3600.0, asked={"gpus": 2}), flow="H")
    by_run, by_flow = bill(state, rates, "7d", "run"), bill(state, rates, "7d", "flow")
    assert sorted((row.key, row.total) for row in by_run.rows) == [
        ("1", 2),
        ("2", 1),
        ("4", 2),
        ("5", 1060),
        ("6", 200),
    ]
    assert [(row.key, row.runs, row.total) for row in by_flow.rows] == [("H", 2, 1260), ("F", 2, 3), ("G", 1, 2)]
    assert by_run.total == by_flow.total == 1265
    assert by_flow.rows[0].cost == sum((cost(row, rates) for run in (5, 6) for row in state.profiles.of(run)), Cost())
    assert "all" in profiled.bill(by_flow) and "EUR" in profiled.bill(by_run)
    with pytest.raises(BoxError, match="costs cannot be shown by 'user'"):
        bill(state, rates, "7d", "user")


def test_a_run_is_shown_beside_what_it_asked_for(state: StateStore) -> None:
    run = ran(state, profile(asked={"memory": 4000 * MB, "cores": 2.0}, memory=300 * MB, cores=0.9, gpu_seconds=2.0))
    text = profiled.use(use(state, state.runs.get(run), RatesConfig()), "EUR")
    assert "300 of 4000 MB" in text and "0.9 of 2" in text
    assert "fit: @resources(cpu=1, memory=315)   (asks for too much: memory=4000, used 300; cpu=2, used 0.9)" in text


def test_the_doctor_says_which_line_to_write() -> None:
    wrong, right = advice(asked={"memory": 4000 * MB}, memory=300 * MB), advice(step="fit", memory=50 * MB)
    found = judge([("flows/f.py", right), ("flows/f.py", wrong)])
    assert found.state == "warn"
    assert found.detail == "flows/f.py, step fit asks for too much (memory=4000, used 300)"
    assert found.fix.endswith("flows/f.py   (step fit: @resources(cpu=1, memory=315))")
    assert judge([("flows/f.py", right)]).state == "ok"


def test_metrics_are_peaks_and_sums_and_know_no_gpu_where_there_is_none() -> None:
    rows = [
        profile(task="1", memory=100 * MIB, cpu_seconds=1.0, cpu_joules=3600.0),
        profile(task="2", memory=60 * MIB, inherited=90 * MIB, cpu_seconds=2.0, write_bytes=MIB),
    ]
    records = [{"kind": "profile", "step": "fit", "cost": 0.5, "profile": dataclasses.asdict(row)} for row in rows]
    assert metrics.of(records) == {
        "boxplat.peak_memory_mib.fit": 150.0,
        "boxplat.peak_cores.fit": 0.0,
        "boxplat.cpu_seconds.fit": 3.0,
        "boxplat.read_mib.fit": 0.0,
        "boxplat.written_mib.fit": 1.0,
        "boxplat.energy_wh": 1.0,
        "boxplat.cost": 1.0,
    }
    assert metrics.of([]) == {}


def test_the_commands_show_it(project: Path, state: StateStore) -> None:
    run = ran(state, profile(started=time.time(), cpu_seconds=3600.0, memory=300 * MB, asked={"memory": 4000 * MB}))
    (project / "boxplat.toml").write_text('[rates]\ncore_hour = 2\ncurrency = "CHF"\n')
    shown = json.loads(run_box(project, "runs", "show", str(run), "--json").stdout)["usage"][0]
    assert (shown["step"], shown["memory"], shown["cost"]) == ("fit", 300 * MB, 2.0)
    assert shown["recommended"]["line"] == "@resources(cpu=1, memory=315)"
    assert "300 of 4000 MB" in run_box(project, "runs", str(run)).stdout
    assert json.loads(run_box(project, "cost", "--json").stdout)["cost"]["total"] == 2.0
    assert "2.00 CHF" in run_box(project, "cost", "--by", "flow").stdout
    wrong = run_box(project, "runs", "show", "last")
    assert wrong.returncode == 2 and "fix: box runs" in wrong.stderr
