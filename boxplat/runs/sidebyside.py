"""Several runs beside each other: what they were given, what they measured, how long they took, which code and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.metrics import Fact, SideBySide
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import batches
from boxplat.runs.measured import metrics
from boxplat.runs.outbox import spool_path
from boxplat.runs.spool import Tail

MOST = 8
Value = str | float | None
_CODE = {"mlflow.source.git.commit": "git commit", "boxplat.git_dirty": "git dirty", "boxplat.code_digest": "digest"}


def compare(state: StateStore, paths: Paths, numbers: Sequence[int]) -> SideBySide:
    """What is known of two to eight runs, fact by fact.

    Raises:
        BoxError: fewer or more, or one twice (exit code 2); no such run (9).
    """
    if not 2 <= len(numbers) <= MOST or len(set(numbers)) < len(numbers):
        raise BoxError(
            f"these runs cannot be compared: {', '.join(map(str, numbers)) or 'none'}",
            why=f"it takes from two to {MOST} different runs",
            fix="box runs   (then: box runs compare 7 8)",
            code=ExitCode.USAGE,
        )
    runs = tuple(state.runs.get(number) for number in numbers)
    kept = [_kept(state, paths, run) for run in runs]
    measured = [{one.name: one.last.value for one in metrics(paths, run) if not one.source} for run in runs]
    tables: tuple[tuple[str, list[Mapping[str, Value]]], ...] = (
        ("run", [_facts(run) for run in runs]),
        ("parameter", [{**batch.params, **run.params} for batch, run in zip(kept, runs, strict=True)]),
        ("metric", list(measured)),
        ("step", [_steps(state, run) for run in runs]),
        ("code", [_code(batch.tags) for batch in kept]),
        ("data", [{f"{one.way} {one.name}": one.digest[:16] for one in state.datasets.of_run(run.id)} for run in runs]),
    )
    facts = [fact for group, columns in tables for fact in _rows(group, columns)]
    return SideBySide(runs, tuple(facts), _notes(state, runs))


def _kept(state: StateStore, paths: Paths, run: Run) -> batches.Batch:
    """Tags and parameters that a run noted of itself, or what was remembered of it when it was freed."""
    gone = state.disposal.freed(f"run/{run.id}")
    if gone is not None:
        remembered = gone.data.get("kept", {})
        return batches.Batch(remembered.get("params", {}), remembered.get("tags", {}))
    batch = batches.Batch()
    for record in Tail(spool_path(paths.run_dir(run.id))).read():
        batch.add(batches.facts(record))
    return batch


def _facts(run: Run) -> dict[str, Value]:
    took = run.ended - run.started if run.started and run.ended else None
    return {"flow": run.flow, "state": run.state.value, "seconds": took, "error": run.error}


def _steps(state: StateStore, run: Run) -> dict[str, Value]:
    """Seconds of each step, from the start of its first task to the end of its last."""
    spans: dict[str, tuple[float, float | None]] = {}
    for task in state.runs.tasks(run.id):
        begin, end = spans.get(task.step, (task.started, task.ended))
        ended = None if end is None or task.ended is None else max(end, task.ended)
        spans[task.step] = (min(begin, task.started), ended)
    return {step: None if end is None else end - begin for step, (begin, end) in spans.items()}


def _code(tags: Mapping[str, str]) -> dict[str, Value]:
    known: dict[str, Value] = {name: tags[tag][:16] for tag, name in _CODE.items() if tag in tags}
    return known | {tag: tags[tag] for tag in sorted(tags) if tag.startswith("version.")}


def _rows(group: str, columns: Sequence[Mapping[str, Value]]) -> list[Fact]:
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, tuple(column.get(name) for column in columns)) for name in names]
    return [
        Fact(group, name, values, len(set(values)) > 1 and not _timed(group, name))
        for name, values in rows
        if any(value is not None for value in values)
    ]


def _timed(group: str, name: str) -> bool:
    """Times are never the same twice, which tells nothing."""
    return group == "step" or (group, name) == ("run", "seconds")


def _notes(state: StateStore, runs: Sequence[Run]) -> dict[int, str]:
    freed = {run.id: state.disposal.freed(f"run/{run.id}") for run in runs}
    return {number: f"box gc freed it ({gone.by})" for number, gone in freed.items() if gone}
