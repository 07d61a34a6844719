"""A run's facts as text: its head, its metrics as charts, its preview beside the list. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.text import Text

from boxplat.core.metrics import Execution, Series
from boxplat.core.model import Run
from boxplat_tui import commands
from boxplat_tui.format import NONE, duration, figure, moment
from boxplat_tui.glyphs import Cell, run_state
from boxplat_tui.lines import clean
from boxplat_tui.screens import run_rows
from boxplat_tui.screens.rows import taken
from boxplat_tui.widgets.bars import assemble
from boxplat_tui.widgets.plots import chart, spark

Tones = Mapping[str, str]
NO_METRICS = "No metrics yet: self.auc = … in a step makes one, so does mlflow.log_metric."
MOST_REASON = 3
_CHART_WIDTH, _CHART_HEIGHT = 38, 7


def head(run: Run, now: float, tones: Tones, freed: float | None, width: int) -> Text:
    """What a run is, in three lines of `width` cells, and in at most three more why it failed, and so what to do."""
    shade = dict(tones)
    state = Cell("◌ held", "warn") if run.held and not run.state.over else run_state(run.state)
    began = f"  {duration(taken(run, now))}  since {moment(run.started or run.created)}"
    lines = [
        assemble(shade, Cell(run.name, "strong"), "  ", state, Cell(began, "muted")),
        assemble(shade, Cell("$ " + commands.run(run.flow, run.params).text, "accent")),
        assemble(shade, Cell(f"metaflow {run.pathspec or NONE}   mlflow {run.tracking_run_id or NONE}", "muted")),
    ]
    if run.error:
        said, room = clean(run.error.strip().splitlines()[-1]), max(width, 20)
        reason = wrap(said, room, max_lines=MOST_REASON, placeholder=" …", break_on_hyphens=False)
        lines += [assemble(shade, Cell(line, "bad")) for line in reason]
    if freed:
        lines.append(assemble(shade, Cell(f"its artifacts and log were freed on {moment(freed)} (box gc)", "warn")))
    return Text("\n").join(lines)


def metrics(found: Sequence[Series], tones: Tones, width: int, height: int = 0) -> Text:
    """Charts of what changed while the run went on, as many beside each other as there is room for; then the others.

    Args:
        height: what is there to be filled, in cells; less than a chart needs is no matter.
    """
    if not found:
        return assemble(dict(tones), Cell(NO_METRICS, "muted"))
    curves = [one for one in found if run_rows.has_curve(one)]
    others = [one for one in found if not run_rows.has_curve(one)]
    lines = []
    across = max(width // (_CHART_WIDTH + 3), 1)
    each = max((width - 3 * (across - 1)) // across, 20)
    rows = max(-(-len(curves) // across), 1)
    tall = min(max((height - len(others)) // rows - 1, _CHART_HEIGHT), 2 * _CHART_HEIGHT)
    charts = [_chart(one, tones, each, tall) for one in curves]
    for first in range(0, len(charts), across):
        lines += [*beside(charts[first : first + across], each, 3), Text("")]
    longest = max((len(_label(one)) for one in others), default=0)
    for one in others:
        cells = (Cell(f"{clean(_label(one)):<{longest}}  ", "muted"), Cell(figure(one.last.value), "strong"))
        lines.append(assemble(dict(tones), *cells))
    return Text("\n").join(lines)


def _label(series: Series) -> str:
    return f"{series.source} · {series.name}" if series.source else series.name


def _chart(series: Series, tones: Tones, width: int, height: int) -> Text:
    points = [(float(point.step), point.value) for point in series.points]
    return chart(Cell(clean(_label(series), width - 12), "strong"), points, tones, width, height)


def beside(texts: Sequence[Text], width: int, gap: int) -> list[Text]:
    """Blocks of lines next to each other, each `width` cells wide."""
    blocks = [text.split("\n") for text in texts]
    lines = []
    for row in range(max(map(len, blocks))):
        line = Text(no_wrap=True, overflow="ellipsis")
        for block in blocks:
            part = block[row].copy() if row < len(block) else Text()
            part.truncate(width, pad=True)
            line.append(part)
            line.append(" " * gap)
        line.rstrip()
        lines.append(line)
    return lines


def preview(found: Execution, series: Sequence[Series], now: float, tones: Tones, width: int) -> Text:
    """One run beside the list: its head, parameters, steps and metrics."""
    shade, run = dict(tones), found.run
    lines = [head(run, now, tones, found.freed, width), Text("")]
    lines += [assemble(shade, Cell(f"{clean(key)} ", "muted"), Cell(value)) for key, value in run.params.items()]
    lines += [Text("")] if run.params else []
    lines.append(assemble(shade, Cell(run_rows.progress(found.tasks), "muted")))
    for row in run_rows.steps(run, found.tasks, (), now, max(width - 36, 8)):
        step, state, _, took, bar = row.cells
        shown = (Cell(f"{clean(step.text):<14.14} "), Cell(f"{took.text:>7} ", "muted"))
        lines.append(assemble(shade, *shown, Cell(state.text.split()[0] + " ", state.tone), bar))
    lines.append(Text(""))
    for one in series:
        curve = spark([point.value for point in one.points], 24) if run_rows.has_curve(one) else ""
        shown = (Cell(f"{clean(_label(one), 26):<26} ", "muted"), Cell(f"{figure(one.last.value):<10} ", "strong"))
        lines.append(assemble(shade, *shown, Cell(curve, "busy")))
    return Text("\n").join(lines)
