"""Ranges, what a search draws from them, and what a pruner gives up. Optuna's own study is the oracle of pruning."""

from __future__ import annotations

import math
from dataclasses import replace

import optuna
import pytest

from boxplat.adapters import search
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.sweeps import Plan, Trial, TrialState, best, ranked
from boxplat.runs.sweeps import space

SPEC = {
    "lr": "log:1e-5..1e-1",
    "width": "int:32..256:32",
    "units": "intlog:1..1024",
    "x": "float:-1..1",
    "opt": r"choice:sgd,a\,b",
}
PLAN = Plan(space=SPEC, metric="auc", seed=3)


def done(number: int, params: dict[str, str], value: float | None, **more: object) -> Trial:
    made = Trial(1, number, params, TrialState.SUCCEEDED, settled=True, value=value)
    return replace(made, **more)  # type: ignore[arg-type]


def drawn(plan: Plan, count: int) -> list[Trial]:
    ranges = space.read(plan.space)
    trials: list[Trial] = []
    for number in range(count):
        params = search.suggest(plan, ranges, trials, number)
        trials.append(done(number, params, -abs(math.log10(float(params["lr"])) + 3)))
    return trials


@pytest.mark.parametrize("sampler", search.SAMPLERS)
def test_what_is_drawn_is_in_range_and_the_same_again(sampler: str) -> None:
    plan = replace(PLAN, sampler=sampler)
    trials = drawn(plan, 15)
    for trial in trials:
        assert 1e-5 <= float(trial.params["lr"]) <= 1e-1
        assert int(trial.params["width"]) in range(32, 257, 32)
        assert 1 <= int(trial.params["units"]) <= 1024
        assert -1 <= float(trial.params["x"]) <= 1
        assert trial.params["opt"] in ("sgd", "a,b")
    assert len({tuple(trial.params.values()) for trial in trials}) == 15
    # A driver that was killed has nothing but the state: it goes on as the one before it would have.
    assert [trial.params for trial in drawn(plan, 15)] == [trial.params for trial in trials]
    assert drawn(replace(plan, seed=4), 1)[0].params != trials[0].params


def test_a_search_comes_closer_than_chance() -> None:
    def mean(sampler: str) -> float:
        values = [trial.value or 0.0 for trial in drawn(replace(PLAN, sampler=sampler), 40)][20:]
        return sum(values) / len(values)

    assert mean("tpe") > mean("random")


def test_trials_under_way_are_not_drawn_again() -> None:
    ranges = space.read(SPEC)
    trials = drawn(PLAN, 12)
    waiting = [replace(trials[0], number=12, settled=False, state=TrialState.RUNNING, value=None)]
    waiting[0] = replace(waiting[0], params=search.suggest(PLAN, ranges, trials, 12))
    assert search.suggest(PLAN, ranges, [*trials, *waiting], 13) != waiting[0].params


@pytest.mark.parametrize("text", [
    "1e-5..1e-1", "log:0..1", "log:1e-5..1e-1:2", "int:1.5..3", "int:3..3", "float:2..1", "float:0..inf", "int:1-5",
    "choice:a", "choice:a,,b", "choice:a,a", "float:0..1:-1", "normal:0..1", "float:a..b",
])  # fmt: skip
def test_a_range_that_makes_no_sense_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(BoxError) as caught:
        space.read({"lr": text})
    assert caught.value.code == ExitCode.USAGE
    assert "log:1e-5..1e-1" in caught.value.fix


def test_the_best_is_the_argmax_of_what_ended_by_itself() -> None:
    trials = [
        done(0, {}, 0.5),
        done(1, {}, 0.7),
        done(2, {}, 0.9, state=TrialState.PRUNED),
        done(3, {}, 0.7),
        done(4, {}, None),
        done(5, {}, 0.95, state=TrialState.FAILED),
    ]
    top, low = best(PLAN, trials), best(replace(PLAN, mode="min"), trials)
    assert (top and top.number, low and low.number) == (1, 0)
    assert [trial.number for trial in ranked(PLAN, trials)][:3] == [1, 3, 0]
    assert best(replace(PLAN, metric=""), trials) is None


@pytest.mark.parametrize("pruner", ["median", "percentile:25"])
@pytest.mark.parametrize("mode", ["max", "min"])
def test_pruning_is_what_optunas_own_study_decides(pruner: str, mode: str) -> None:
    plan = replace(PLAN, pruner=pruner, mode=mode)
    series = [[0.1 * n, 0.2 * n, 0.3 * n] for n in range(1, 8)]
    trials = [done(n, {}, one[-1], reported=dict(enumerate(one))) for n, one in enumerate(series)]
    trials.append(done(7, {}, None, state=TrialState.FAILED))
    share = search.percentile(pruner)
    assert share is not None
    own = optuna.create_study(
        direction="maximize" if mode == "max" else "minimize",
        pruner=optuna.pruners.PercentilePruner(share, n_startup_trials=5, n_warmup_steps=0),
    )
    for one in series:
        asked = own.ask()
        for step, value in enumerate(one):
            asked.report(value, step)
        own.tell(asked, one[-1])
    decisions = []
    for candidate in ([0.05, 0.1], [0.39, 0.9], [0.41, 0.5], [9.0, 9.0], [float("nan"), 0.2]):
        asked = own.ask()
        for step, value in enumerate(candidate):
            asked.report(value, step)
        finite = {step: value for step, value in enumerate(candidate) if math.isfinite(value)}
        running = Trial(1, 8, {}, TrialState.RUNNING, reported=finite)
        decisions.append(search.hopeless(plan, trials, running))
        assert decisions[-1] == asked.should_prune()
        own.tell(asked, state=optuna.trial.TrialState.FAIL)
    assert set(decisions) == {True, False}


def test_nothing_is_given_up_before_there_is_something_to_compare_with() -> None:
    plan = replace(PLAN, pruner="median")
    trials = [done(n, {}, 1.0, reported={0: 1.0}) for n in range(4)]
    assert not search.hopeless(plan, trials, Trial(1, 4, {}, TrialState.RUNNING, reported={0: -5.0}))
    assert not search.hopeless(plan, trials * 2, Trial(1, 8, {}, TrialState.RUNNING))


@pytest.mark.parametrize("pruner", ["mean", "percentile", "percentile:0", "percentile:x", "median:2"])
def test_an_unknown_pruner_is_refused(pruner: str) -> None:
    with pytest.raises(BoxError, match="is not known"):
        search.percentile(pruner)
