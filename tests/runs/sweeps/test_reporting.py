"""`report` and `study` as a flow calls them."""

from __future__ import annotations

import math
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from boxplat import report, study
from boxplat.core.sweeps import Plan, Sweep, SweepState, Trial, TrialState
from boxplat.runs import batches, spool
from boxplat.runs.sweeps.outcomes import Series, latest
from boxplat.trials import text


def test_reports_are_read_back_the_last_of_a_step_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "spool.jsonl"
    monkeypatch.setenv("BOXPLAT_SPOOL", str(path))
    monkeypatch.setenv("BOXPLAT_SWEEP_METRIC", "auc")
    report(0, 0.5)
    report(np.int64(1), np.float32(0.25))  # type: ignore[arg-type]
    report(1, 1)
    report(2, float("nan"))
    report(7, 0.9, metric="loss")
    series = Series(spool.Tail(path), "auc")
    values = series.read()
    assert (values[0], values[1], math.isnan(values[2]), len(values)) == (0.5, 1.0, True, 3)
    sent = [batches.facts(record).metrics[0] for record in spool.Tail(path).read()]
    assert [(name, step) for name, _, _, step in sent] == [("intermediate/auc", 0)] + [("intermediate/auc", 1)] * 2 + [
        ("intermediate/auc", 2),
        ("intermediate/loss", 7),
    ]


@pytest.mark.parametrize("place", ["", "/nowhere/at/all/spool.jsonl"])
def test_a_report_never_makes_a_step_fail(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOXPLAT_SPOOL", place)
    report(0, 0.5)
    report("x", None)  # type: ignore[arg-type]


def test_tasks_at_once_share_one_study(tmp_path: Path) -> None:
    code = "from boxplat import study\nstudy('s').optimize(lambda trial: trial.suggest_float('x', 0, 1), n_trials=3)\n"
    env = {"BOXPLAT_SPOOL": str(tmp_path / "spool.jsonl"), "PATH": "", "HOME": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.PIPE) for _ in "12"]
    assert [process.wait(300) for process in both] == [0, 0], [process.communicate()[1] for process in both]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOXPLAT_SPOOL", str(tmp_path / "spool.jsonl"))
        made = study("s")
    assert len(made.trials) == 6
    assert made.direction.name == "MAXIMIZE"
    assert stat.S_IMODE((tmp_path / "studies.db").stat().st_mode) & 0o077 == 0


def test_of_a_metric_written_by_several_steps_the_last_counts_and_of_a_foreach_none() -> None:
    def record(kind: str, step: str, at: float, **more: object) -> spool.Record:
        return {"kind": kind, "at": at, "run": "1", "step": step, "task": step, "attempt": 0, **more}

    def end(step: str, at: float, **artifacts: float) -> spool.Record:
        return record("end", step, at, ok=True, artifacts=artifacts, digests={})

    fan = [record("start", "fan", 3.0, stack=[{"step": "a", "index": 0}]), end("fan", 4.0, auc=0.1)]
    assert latest([record("start", "a", 1.0, stack=[]), end("a", 9.0, auc=0.9), *fan, end("z", 5.0, auc=0.5)]) == {
        "auc": 0.5
    }


def test_a_sweep_as_text_marks_its_best_trial_and_says_what_is_missing() -> None:
    plan = Plan(grid={"lr": ("1", "2", "3")}, params={"seed": "7"}, metric="auc")
    sweep = Sweep(4, "flows/a.py", "A", plan, SweepState.FAILED, 1.0, "me", error="1 of 3 trials failed")
    trials = [
        Trial(4, 0, {"lr": "1"}, TrialState.SUCCEEDED, True, run=11, value=0.5),
        Trial(4, 1, {"lr": "2"}, TrialState.SUCCEEDED, True, run=12, value=0.75),
        Trial(4, 2, {"lr": "3"}, TrialState.FAILED, True, run=13, note="ValueError"),
    ]
    lines = text(sweep, trials).splitlines()
    assert "best        trial 1, run 12: auc 0.75 (max) with lr=2" in lines
    table = lines[lines.index("") + 1 :]
    assert [row.split()[:2] for row in table[1:4]] == [["*", "1"], ["0", "11"], ["2", "13"]]
    assert lines[-1] == "1 of 3 trials failed"
