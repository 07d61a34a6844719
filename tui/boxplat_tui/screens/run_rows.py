"""Runs, their tasks on a time line, what they used and read, and runs side by side, as rows. Pure functions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from boxplat.core.metrics import Execution, Fact, Series, SideBySide
from boxplat.core.model import Run, RunState, Task
from boxplat.core.profile import Profile
from boxplat_tui.format import NONE, age, duration, figure, pairs, plural, size
from boxplat_tui.glyphs import Cell, run_state
from boxplat_tui.screens.rows import taken
from boxplat_tui.widgets.plots import known, span_bar, spark
from boxplat_tui.widgets.table import Column, Row

if TYPE_CHECKING:
    from boxplat.runs.profiles.report import StepUse

RUNS = (
    Column("RUN", 5),
    Column("FLOW", 16),
    Column("STATE", 11),
    Column("TOOK", 7, right=True),
    Column("STARTED", 9, right=True),
    Column("PARAMS OR ERROR", from_width=64),
)


Made = dict[int, tuple[Run, str, Row]]


class RunRows:
    """Rows of runs, each made again only where it differs: a filter goes through thousands of them every second."""

    def __init__(self) -> None:
        self._known: Made = {}

    def of(self, found: Iterable[Run], now: float) -> list[Row]:
        """A row a run."""
        known, self._known = self._known, {}
        for run in found:
            since, before = age(run.started or run.created, now), known.get(run.id)
            same = before is not None and (before[0] is run or before[0] == run) and before[1] == since
            self._known[run.id] = before if same and before and run.state.over else (run, since, _run(run, now))
        return [row for _, _, row in self._known.values()]

    @staticmethod
    def ahead(found: Iterable[Run], now: float) -> Made:
        """The same, made in another thread: thousands at once would hold keys up for a tenth of a second."""
        return {run.id: (run, age(run.started or run.created, now), _run(run, now)) for run in found}

    def take(self, made: Made) -> None:
        """Use rows that were made ahead."""
        self._known |= made


def _run(run: Run, now: float) -> Row:
    started = run.started or run.created
    about = what_of(run)
    state = Cell("◌ held", "warn") if run.held and not run.state.over else run_state(run.state)
    return Row(
        str(run.id),
        (
            Cell(str(run.id), "muted"),
            Cell(run.name, "strong"),
            state,
            Cell(duration(taken(run, now))),
            Cell(age(started, now), "muted"),
            about,
        ),
        (run.id, run.name, run.state, taken(run, now), -started, about.text),
    )


def what_of(run: Run) -> Cell:
    """What a run was given; of one that failed its error."""
    if run.state is RunState.FAILED and run.error and run.error.strip():
        return Cell(run.error.strip().splitlines()[-1], "bad")
    sweep = {"sweep": f"{run.options['sweep']}/{run.options.get('trial')}"} if "sweep" in run.options else {}
    return Cell(pairs({**run.params, **sweep}) or NONE, "muted")


TASKS = (
    Column("STEP", 18),
    Column("STATE", 15),
    Column("TRY", 3, right=True),
    Column("TOOK", 7, right=True),
    Column("TIME LINE", from_width=58),
)
# What the columns before the time line and all paddings take.
BEFORE_BARS = sum(column.width for column in TASKS) + 2 * len(TASKS)
_BUSY = (RunState.RUNNING, RunState.QUEUED)


def steps(run: Run | None, tasks: Sequence[Task], unfolded: Collection[str], now: float, width: int) -> list[Row]:
    """A row a step, below it its tasks where it is unfolded, and always those that failed.

    Args:
        unfolded: names of steps.
        width: of the time line, in cells.
    """
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.step, []).append(task)
    scale = _Scale(run, tasks, now, width)
    rows = []
    for step, found in groups.items():
        if len(found) == 1:
            rows.append(_task(found[0], step, found[0].step, scale))
            continue
        rows.append(_folded(step, found, scale, step in unfolded))
        shown = [task for task in found if step in unfolded or task.state is RunState.FAILED]
        rows += [_task(task, f"{step}/{task.task}", f"  {_name(task)}", scale) for task in shown]
    return rows


class _Scale:
    """The time from a run's start to its end, or to now, on so many cells."""

    def __init__(self, run: Run | None, tasks: Sequence[Task], now: float, width: int) -> None:
        begins = [task.started for task in tasks]
        self.begin = min([run.started or run.created, *begins] if run else begins or [now])
        over = run is not None and run.state.over
        ends = [task.ended or now for task in tasks]
        self.end = max([self.begin, *ends, *([run.ended] if over and run and run.ended else [])] if over else [now])
        self.now, self.width = now, width

    def bar(self, begin: float, end: float | None) -> str:
        length = max(self.end - self.begin, 0.001)
        return span_bar((begin - self.begin) / length, ((end or self.now) - self.begin) / length, max(self.width, 1))


def _name(task: Task) -> str:
    return f"{task.step}[{task.index}]" if task.index is not None else f"{task.step} {task.task}"


def _task(task: Task, key: str, shown: str, scale: _Scale) -> Row:
    took = None if task.state is RunState.QUEUED else (task.ended or scale.now) - task.started
    state = run_state(task.state)
    line = Cell(task.waits, "muted") if task.waits else Cell(scale.bar(task.started, task.ended), _tone(task.state))
    return Row(
        key,
        (
            Cell(shown, "" if shown.startswith(" ") else "strong"),
            state,
            Cell(str(task.attempt + 1), "warn" if task.attempt else "muted"),
            Cell(duration(took)),
            line,
        ),
        (shown.strip(), task.state, task.attempt, took, task.started),
    )


def _tone(state: RunState) -> str:
    return {RunState.FAILED: "bad", RunState.RUNNING: "busy", RunState.CANCELLED: "muted"}.get(state, "ok")


def _folded(step: str, tasks: list[Task], scale: _Scale, unfolded: bool) -> Row:
    """A foreach: how many of its tasks are done, and from when to when it took."""
    counts = {state: sum(task.state is state for task in tasks) for state in RunState}
    first = min(task.started for task in tasks)
    busy = any(task.state in _BUSY for task in tasks)
    last = None if busy else max(task.ended or scale.now for task in tasks)
    worst = next((state for state in (RunState.FAILED, *_BUSY, RunState.CANCELLED) if counts[state]), None)
    shown = RunState.RUNNING if busy and worst is not RunState.FAILED else worst or RunState.SUCCEEDED
    done = counts[RunState.SUCCEEDED]
    glyph = run_state(shown).text.split()[0]
    failed = counts[RunState.FAILED]
    words = f"{glyph} {failed}/{len(tasks)} failed" if failed else f"{glyph} {done} of {len(tasks)}"
    tries = max(task.attempt for task in tasks)
    return Row(
        step,
        (
            Cell(f"{'▼' if unfolded else '▶'} {step} x{len(tasks)}", "strong"),
            Cell(words, run_state(shown).tone),
            Cell(str(tries + 1), "warn" if tries else "muted"),
            Cell(duration((last or scale.now) - first)),
            Cell(scale.bar(first, last), _tone(shown)),
        ),
        (step, shown, tries, (last or scale.now) - first, first),
    )


USAGE = (
    Column("STEP", 14),
    Column("TRIES", 5, right=True),
    Column("LONGEST", 7, right=True),
    Column("MEMORY", 18, right=True),
    Column("CORES", 8, right=True),
    Column("READ", 8, right=True, from_width=80),
    Column("WRITTEN", 8, right=True, from_width=92),
    Column("VRAM", 8, right=True, from_width=104),
    Column("COST", 8, right=True, from_width=118),
)


def usage(found: Iterable[StepUse]) -> list[Row]:
    """What each step used of what it asked for."""
    return [_use(step) for step in found]


def _use(step: StepUse) -> Row:
    verdict = step.recommended.verdict if step.recommended else ""
    tone = "warn" if verdict in ("over", "under") else ""
    asked = step.asked
    memory = size(step.memory) + (f" of {size(round(asked['memory']))}" if asked.get("memory") else "")
    cores = f"{step.cores:.1f}" + (f" of {asked['cores']:g}" if asked.get("cores") else "")
    order = (step.step, step.attempts, step.seconds, step.memory, step.cores)
    return Row(
        step.step,
        (
            Cell(step.step, "strong"),
            Cell(str(step.attempts), "warn" if step.attempts > 1 else "muted"),
            Cell(duration(step.seconds)),
            Cell(memory, tone),
            Cell(cores, tone),
            Cell(size(step.read_bytes), "muted"),
            Cell(size(step.write_bytes), "muted"),
            Cell(size(step.vram) if step.vram else NONE, "muted"),
            Cell(figure(step.cost) if step.cost else NONE, "muted"),
        ),
        (*order, step.read_bytes, step.write_bytes, step.vram, step.cost),
    )


def advice(found: Iterable[StepUse]) -> list[tuple[str, str]]:
    """The decorators that would fit, and why, of the steps that ask for something else."""
    known_ones = [(step.step, step.recommended) for step in found if step.recommended]
    return [(f"{step}: {one.line}", one.why) for step, one in known_ones if one.verdict != "fits"]


DATA = (
    Column("WAY", 6),
    Column("DATA", 0),
    Column("DIGEST", 16),
    Column("SIZE", 8, right=True),
    Column("FILES", 5, right=True, from_width=70),
    Column("STEP", 12, from_width=80),
)


def data(found: Execution) -> list[Row]:
    """What a run read and wrote, by content."""
    return [
        Row(
            f"{one.way}/{one.name}",
            (
                Cell(one.way, "accent" if one.way == "wrote" else "muted"),
                Cell(one.name, "strong"),
                Cell(one.digest[:16] or one.note or NONE, "" if one.digest else "warn"),
                Cell(size(one.bytes) if one.bytes else NONE),
                Cell(str(one.files) if one.files else NONE, "muted"),
                Cell(one.step or NONE, "muted"),
            ),
            (one.way, one.name, one.digest, one.bytes, one.files, one.step),
        )
        for one in found.data
    ]


def about_task(task: Task, attempts: Iterable[Profile]) -> list[Cell]:
    """A task in a line: its attempts, what it used, why it waits or failed."""
    own = [one for one in attempts if (one.step, one.task) == (task.step, task.task)]
    name = task.step if task.index is None else _name(task)
    cells = [Cell(name, "strong"), Cell(f"  task {task.task}  attempt {task.attempt + 1}", "muted")]
    cells += [Cell(f"  {duration(one.seconds)} {size(one.memory)} {one.cores:.1f} cores", "muted") for one in own]
    if task.waits:
        cells.append(Cell(f"  {task.waits}", "warn"))
    if task.error:
        cells.append(Cell(f"  {task.error.strip().splitlines()[-1]}", "bad"))
    return cells


def side_rows(found: SideBySide, series: Mapping[int, Sequence[Series]], every: bool) -> list[Row]:
    """A row a fact, those that differ marked with ≠; with `every` also the others."""
    return [_fact(fact, found.runs, series) for fact in found.facts if every or fact.differs]


def _fact(fact: Fact, runs_shown: Sequence[Run], series: Mapping[int, Sequence[Series]]) -> Row:
    tone = "strong" if fact.differs else "muted"
    cells = [
        Cell(_value(fact, number) + _curve(fact, run, series), tone if number or fact.differs else "muted")
        for number, run in enumerate(runs_shown)
    ]
    mark = Cell("≠" if fact.differs else "", "warn")
    return Row(f"{fact.group}/{fact.name}", (mark, Cell(fact.group, "muted"), Cell(fact.name), *cells), (fact.differs,))


def _value(fact: Fact, number: int) -> str:
    value, first = fact.values[number], fact.values[0]
    if isinstance(value, str) or value is None:
        return value or NONE
    if fact.group == "step" or fact.name == "seconds":
        return duration(value)
    if number and fact.differs and isinstance(first, float | int) and len(known([first, value])) == 2:
        return f"{figure(value)} ({value - first:+.3g})"
    return figure(value)


def _curve(fact: Fact, run: Run, series: Mapping[int, Sequence[Series]]) -> str:
    if fact.group != "metric":
        return ""
    all_of_it = [one for found in series.values() for one in found if one.name == fact.name and not one.source]
    own = next((one for one in series.get(run.id, ()) if one.name == fact.name and not one.source), None)
    if own is None or not has_curve(own):
        return ""
    low, high = min(one.low for one in all_of_it), max(one.high for one in all_of_it)
    return f" {spark([point.value for point in own.points], 10, low, high)}"


def has_curve(series: Series) -> bool:
    """Whether there is something to draw: at least three values, and not all the same."""
    return series.count > 2 and series.high > series.low


def progress(tasks: Sequence[Task]) -> str:
    """`7 of 9 tasks done`."""
    done = sum(task.state is RunState.SUCCEEDED for task in tasks)
    return f"{done} of {plural(len(tasks), 'task')} done" if tasks else "no task has started yet"
