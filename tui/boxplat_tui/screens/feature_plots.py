"""The distribution of one feature as text: a histogram over its quantiles, or the commonest values as bars."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size

from boxplat_tui.format import NONE, percent, plural, share
from boxplat_tui.glyphs import Cell, graph
from boxplat_tui.lines import clean
from boxplat_tui.screens.feature_rows import number

Lines = Iterator[tuple[Cell, ...]]
Values = Mapping[str, Any]

_NAMES = (("0.05", "5 %"), ("0.25", "25 %"), ("0.5", "median"), ("0.75", "75 %"), ("0.95", "95 %"))
_LONGEST_NAME = 24
# Lines of a histogram, and from how many lines on some are left blank.
_LOWEST, _HIGHEST, _ROOMY = 3, 16, 14


def distribution(feature: Values, width: int, room: int, looked: str) -> Lines:
    """A feature's values in at most `width` cells and about `room` lines.

    Args:
        looked: which rows were looked at, in words.
    """
    values = feature.get("distribution")
    yield Cell(feature["name"], "strong"), Cell(f"  {feature['type'].lower()}  {looked}", "muted")
    if values is None:
        yield (Cell(feature["why"], "muted"),)
        return
    yield _counts(values)
    between: list[tuple[Cell, ...]] = [()] if room >= _ROOMY else []
    yield from between
    if values["histogram"]:
        figures = list(_figures(values, width))
        beyond = list(_beyond(values, values["histogram"]))
        taken = 4 + 2 * len(between) + len(figures) + len(beyond)
        yield from _histogram(values, width, min(max(room - taken, _LOWEST), _HIGHEST))
        yield from beyond
        yield from between
        yield from figures
    elif values["top"]:
        yield from _top(values, width)


def _counts(values: Values) -> tuple[Cell, ...]:
    nulls = share(values["nulls"], values["rows"])
    cells = [Cell(f"{percent(nulls)} null", "warn" if nulls else "muted")]
    if values["distinct"] is not None:
        cells.append(Cell(f"  {plural(values['distinct'], 'different value')}", "muted"))
    if values["odd"]:
        cells.append(Cell(f"  {values['odd']:,} NaN or infinite", "warn"))
    if values["kind"] == "length":
        cells.append(Cell("  shown: how long each list is", "muted"))
    return tuple(cells)


def _histogram(values: Values, width: int, height: int) -> Lines:
    """Columns, the quantiles below them, and both ends of the axis: `height` + 2 lines."""
    told = values["histogram"]
    counts, edges = told["counts"], told["edges"]
    wide = max(width // len(counts), 1)
    columns = [count or None for count in counts for _ in range(wide)]
    top = max(counts) or 1
    for line in graph(columns, len(columns), height, top):
        yield (Cell(line, "accent"),)
    yield _strip(values["quantiles"], edges[0], edges[-1], len(columns))
    # Whole numbers stand in the middle of their bins.
    half = 0.5 if edges[0] % 1 == edges[-1] % 1 == 0.5 else 0.0
    low, high = number(values, edges[0] + half), number(values, edges[-1] - half)
    yield (Cell(f"{low}{high:>{max(len(columns) - len(low), len(high) + 1)}}", "muted"),)


def _strip(quantiles: Values, low: float, high: float, width: int) -> tuple[Cell, ...]:
    """From 5 to 95 % a thin line, from 25 to 75 % a thick one, the median a dot; on the axis of the histogram."""

    def place(name: str) -> int:
        return min(int(share(quantiles[name] - low, high - low) * width), width - 1)

    thin, thick, dot = (place("0.05"), place("0.95")), (place("0.25"), place("0.75")), place("0.5")
    line = [" "] * width
    line[thin[0] : thin[1] + 1] = "─" * (thin[1] - thin[0] + 1)
    line[thick[0] : thick[1] + 1] = "━" * (thick[1] - thick[0] + 1)
    return Cell("".join(line[:dot])), Cell("●", "strong"), Cell("".join(line[dot + 1 :]))


def _beyond(values: Values, told: Values) -> Lines:
    """Values that lie too far out to be drawn."""
    parts = []
    if told["below"]:
        parts.append(f"{told['below']:,} below, down to {number(values, values['minimum'])}")
    if told["above"]:
        parts.append(f"{told['above']:,} above, up to {number(values, values['maximum'])}")
    if parts:
        yield (Cell(f"not drawn: {'; '.join(parts)}", "warn"),)


def _figures(values: Values, width: int) -> Lines:
    """Minimum, quantiles, maximum, mean and deviation; as many to a line as fit."""
    named = [("min", values["minimum"]), *((name, values["quantiles"][key]) for key, name in _NAMES)]
    named += [("max", values["maximum"]), ("mean", values["mean"])]
    if values["kind"] != "time":
        named.append(("deviation", values["deviation"]))
    line: list[Cell] = []
    for name, value in named:
        pair = Cell(f"{name} ", "muted"), Cell(f"{number(values, value)}   ")
        if line and sum(len(cell.text) for cell in (*line, *pair)) > width + 3:
            yield tuple(line)
            line = []
        line += pair
    yield tuple(line)


def _top(values: Values, width: int) -> Lines:
    """A bar a value, the commonest first."""
    known = values["rows"] - values["nulls"]
    most = max(count for _, count in values["top"])
    names = [clean(text) for text, _ in values["top"]]
    longest = min(max(map(cell_len, names)), _LONGEST_NAME)
    room = max(width - longest - 22, 8)
    for name, (_, count) in zip(names, values["top"], strict=True):
        bar = "█" * max(round(room * count / most), 1)
        yield (
            Cell(f"{set_cell_size(name, longest)}  "),
            Cell(f"{bar:<{room}}", "accent"),
            Cell(f"  {count:>9,}  {percent(share(count, known))}", "muted"),
        )
    rest = known - sum(count for _, count in values["top"])
    if rest > 0:
        yield (
            Cell(f"{NONE} {plural(values['distinct'] - len(values['top']), 'other value')}: {rest:,} rows", "muted"),
        )
