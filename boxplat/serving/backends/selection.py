"""Measure every back end of a model, refuse those that change its answers, choose the fastest of the rest."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.serving.backends import trial
from boxplat.serving.backends.compare import difference
from boxplat.serving.backends.loading import BATCHES, CPU, CUDA, REDUCED, reference
from boxplat.serving.backends.quality import METRICS, fitting, known, scores
from boxplat.serving.backends.runner import Array
from boxplat.serving.backends.source import CONVERTED, PROBE, Source
from boxplat.serving.backends.table import Table, save

REPEATS = 5
TURN_SECONDS = 0.1
PROBE_ROWS = 32
GAIN = 0.1
"""The share of the time that must be saved to leave the reference for another back end, and that one for fewer bits:
less is noise, and not worth other roundings."""

Told = Callable[[str], None]


@dataclass(frozen=True)
class Limits:
    """What a back end may change.

    `tolerance`: largest difference of an answer relative to the scale of the answers, for those that compute in the
    model's own precision; `reduced`: the same for those with fewer bits, which must keep the quality besides.
    """

    tolerance: float = 1e-4
    reduced: float = 0.01

    def of(self, name: str) -> float:
        return self.reduced if name in REDUCED else self.tolerance


@dataclass(frozen=True)
class Plan:
    """What to measure: rows a call, threads, metric (None: those that fit the labels), and a GPU's back ends too."""

    batches: tuple[int, ...] = BATCHES
    threads: int = 1
    metric: str | None = None
    cuda: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Measured:
    """One back end: its figures, and what became of it (chosen, accepted, refused, failed).

    `microseconds` of a call by rows; `ratio` to the reference's, mean over the sizes; `first_seconds`: the first calls
    of every size; `difference` relative to the scale of the answers; `quality` by metric.
    """

    backend: str
    verdict: str
    reason: str = ""
    load_seconds: float | None = None
    first_seconds: float | None = None
    microseconds: Mapping[str, float] = field(default_factory=dict)
    ratio: float | None = None
    memory_mib: float | None = None
    difference: float | None = None
    quality: Mapping[str, float] = field(default_factory=dict)


def calibrate(folder: Path, table: Table, plan: Plan, env: Mapping[str, str], told: Told) -> tuple[Measured, ...]:
    """Try every back end of the model in a folder, in which the ONNX files are left.

    Args:
        env: environment of the processes.
        told: hears of progress.

    Returns:
        One row for each back end, the reference first; exactly one is chosen, or none where even the reference fails.
    """
    if plan.metric is not None:
        known(plan.metric)
    source = Source(folder)
    _must_be_whole(source)
    with tempfile.TemporaryDirectory(prefix="boxplat-trials-") as place, contextlib.ExitStack() as open_trials:
        scratch = Path(place)
        names = _candidates(source, plan.cuda)
        missing = {}
        if CONVERTED.keys() & set(names):
            told("making the ONNX files")
            missing = trial.convert(folder, scratch / "convert.log", env)
        save(scratch / "rows.npz", {f"input{i}": array for i, array in enumerate(table.inputs)})
        trials, failures = [], []
        for name in names:
            told(f"loading {name}")
            try:
                if name in missing:
                    raise trial.FailedError(f"no ONNX file: {missing[name]}")
                log, rows = scratch / f"{name}.log", scratch / "rows.npz"
                started = trial.Trial(folder, name, plan.threads, rows, plan.batches, log, env)
                trials.append(open_trials.enter_context(started))
            except trial.FailedError as error:
                failures.append(Measured(name, "failed", str(error)))
        return _judged(source, trials, failures, table, plan, told)


def versions() -> dict[str, str]:
    """Versions of what computes the answers."""
    return {name: metadata.version(name) for name in ("torch", "onnxruntime", "numpy")}


def chosen(rows: Sequence[Measured]) -> Measured | None:
    """The back end that was picked."""
    return next((row for row in rows if row.verdict == "chosen"), None)


def _must_be_whole(source: Source) -> None:
    source.check()
    if source.weights is not None and source.program is None and source.onnx is None:
        raise BoxError(
            "weights alone cannot be calibrated",
            why=f"{source.weights.name} holds tensors; only the service knows the class that they belong to",
            fix="register the model as an exported program: mlflow.pytorch.log_model(…, serialization_format='pt2')",
            code=ExitCode.PRECONDITION,
        )


def _candidates(source: Source, cuda: bool) -> tuple[str, ...]:
    if reference(source) == "onnxruntime":
        return ("onnxruntime", "onnxruntime-int8")
    return (*CPU, *CUDA) if cuda else CPU


def _judged(
    source: Source, trials: list[trial.Trial], failures: list[Measured], table: Table, plan: Plan, told: Told
) -> tuple[Measured, ...]:
    times = _timed(trials, plan.batches, failures, told)
    told(f"checking answers to {len(table)} rows ({table.origin})")
    answers = {one.name: found for one in trials if one.name in times and (found := _answers(one, failures))}
    basis = reference(source)
    if basis not in answers:
        return tuple(failures)
    _keep_probe(source, table, answers[basis], max(plan.batches))
    measured = [_measured(one, times, answers, basis, table, plan) for one in trials if one.name in answers]
    winner = _winner(basis, {row.backend: row.ratio or 1.0 for row in measured if row.verdict == "accepted"})
    rows = [replace(row, verdict="chosen") if row.backend == winner else row for row in measured]
    return (*rows, *failures)


def _answers(one: trial.Trial, failures: list[Measured]) -> dict[str, Array] | None:
    try:
        return one.answers()
    except trial.FailedError as error:
        failures.append(Measured(one.name, "failed", str(error)))
        return None


def _winner(basis: str, ratios: Mapping[str, float]) -> str:
    """The fastest of the accepted ones, where each step away from the model as it is saves enough time."""
    winner = basis
    for reduced in (False, True):
        some = {name: ratio for name, ratio in ratios.items() if (name in REDUCED) is reduced}
        fastest = min(some, key=some.__getitem__, default=winner)
        if ratios[fastest] < ratios[winner] * (1 - GAIN):
            winner = fastest
    return winner


def _keep_probe(source: Source, table: Table, expected: dict[str, Array], size: int) -> None:
    """A few rows and the reference's answers, so that every later start can see whether it still answers so."""
    rows = min(PROBE_ROWS, len(table))
    outputs = [array for name, array in expected.items() if name.startswith(f"{size}.")]
    parts = {f"in{i}": array[:rows] for i, array in enumerate(table.inputs)}
    (source.folder / PROBE).parent.mkdir(exist_ok=True)
    save(source.folder / PROBE, parts | {f"out{i}": array[:rows] for i, array in enumerate(outputs)})


def _timed(
    trials: list[trial.Trial], batches: tuple[int, ...], failures: list[Measured], told: Told
) -> dict[str, dict[int, float]]:
    """Median over turns that all take one after the other, so that a busy moment of the machine meets all of them."""
    turns: dict[str, dict[int, list[float]]] = {one.name: {size: [] for size in batches} for one in trials}
    for turn in range(REPEATS):
        told(f"measuring, turn {turn + 1} of {REPEATS}: {', '.join(turns)}")
        for size in batches:
            for one in [one for one in trials if one.name in turns]:
                try:
                    turns[one.name][size].append(one.seconds(size, TURN_SECONDS))
                except trial.FailedError as error:
                    failures.append(Measured(one.name, "failed", str(error)))
                    del turns[one.name]
    return {name: {size: statistics.median(some) for size, some in sizes.items()} for name, sizes in turns.items()}


def _measured(
    one: trial.Trial,
    times: dict[str, dict[int, float]],
    answers: dict[str, dict[str, Array]],
    basis: str,
    table: Table,
    plan: Plan,
) -> Measured:
    own, against = times[one.name], times[basis]
    reference_quality, quality = (_quality(answers[name], table, plan) for name in (basis, one.name))
    row = Measured(
        one.name,
        "accepted",
        load_seconds=one.load_seconds,
        first_seconds=one.first_seconds,
        microseconds={str(size): seconds * 1e6 for size, seconds in own.items()},
        ratio=statistics.fmean(own[size] / against[size] for size in plan.batches),
        memory_mib=one.memory_mib,
        difference=difference(list(answers[one.name].values()), list(answers[basis].values())),
        quality=quality,
    )
    objection = None if one.name == basis else _objection(row, reference_quality, plan)
    return replace(row, verdict="refused", reason=objection) if objection else row


def _quality(answers: dict[str, Array], table: Table, plan: Plan) -> dict[str, float]:
    """Metrics of the answers to all rows, which were given in the largest batches."""
    if table.labels is None:
        return {}
    # Few rows were repeated to fill a batch.
    largest = f"{max(plan.batches)}."
    outputs = [array[: len(table.labels)] for name, array in answers.items() if name.startswith(largest)]
    found = scores(outputs)
    return {name: METRICS[name].measure(table.labels, found) for name in fitting(table.labels, outputs, plan.metric)}


def _objection(row: Measured, reference_quality: Mapping[str, float], plan: Plan) -> str | None:
    """Why a back end may not answer in the reference's place."""
    limit = plan.limits.of(row.backend)
    if row.difference is None or not row.difference <= limit:
        return f"answers differ by {row.difference:.2g} of their scale, {limit:.2g} is allowed"
    if row.backend in REDUCED and not reference_quality:
        return "fewer bits, and no labels to check the quality with"
    for name, before in reference_quality.items():
        metric, after = METRICS[name], row.quality.get(name, float("nan"))
        lost = metric.loss(before, after)
        if not lost <= metric.limit:
            return f"{name} {before:.4f} becomes {after:.4f}, {metric.limit:g} worse is allowed"
    return None
