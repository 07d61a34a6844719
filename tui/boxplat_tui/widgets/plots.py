"""Plots made of text: a spark line, a curve of braille dots with its axes, and a bar on a time line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from rich.text import Text

from boxplat_tui.format import figure
from boxplat_tui.glyphs import Cell
from boxplat_tui.widgets.bars import assemble

Values = Sequence[float | None]
_BLOCKS = "▁▂▃▄▅▆▇█"
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


def known(values: Iterable[float | None]) -> list[float]:
    """The finite ones."""
    return [value for value in values if value is not None and math.isfinite(value)]


def bounds(values: Values, low: float | None = None, high: float | None = None) -> tuple[float, float]:
    """The range to draw: as given, else that of the values; never empty."""
    finite = known(values) or [0.0]
    bottom = min(finite) if low is None else low
    top = max(finite) if high is None else high
    return (bottom, top) if top > bottom else (bottom, bottom + 1.0)


def resampled(values: Values, width: int) -> list[float | None]:
    """At most `width` values: the mean of each stretch of neighbours, None where a stretch has none."""
    if len(values) <= width:
        return list(values)
    means: list[float | None] = []
    for column in range(width):
        part = known(values[column * len(values) // width : (column + 1) * len(values) // width])
        means.append(sum(part) / len(part) if part else None)
    return means


def spark(values: Values, width: int, low: float | None = None, high: float | None = None) -> str:
    """One line of at most `width` blocks, the lowest value a low block; missing values are blank."""
    bottom, top = bounds(values, low, high)
    shown = resampled(values, width)
    return "".join(" " if _gap(value) else _block(_share(value, bottom, top)) for value in shown)


def _gap(value: float | None) -> bool:
    return value is None or not math.isfinite(value)


def _share(value: float | None, bottom: float, top: float) -> float:
    return min(max(((value or 0.0) - bottom) / (top - bottom), 0.0), 1.0)


def _block(share: float) -> str:
    return _BLOCKS[min(int(share * len(_BLOCKS)), len(_BLOCKS) - 1)]


def curve(values: Values, width: int, height: int, low: float | None = None, high: float | None = None) -> list[str]:
    """The values as a line through braille dots, spread evenly over `width` by `height` cells, the top line first.

    A missing value leaves a gap.
    """
    columns, rows = max(width, 1) * 2, max(height, 1) * 4
    bottom, top = bounds(values, low, high)
    shown = resampled(values, columns)
    step = (columns - 1) / (len(shown) - 1) if len(shown) > 1 else 0.0
    cells = [[0] * max(width, 1) for _ in range(max(height, 1))]
    before: tuple[int, int] | None = None
    for number, value in enumerate(shown):
        if _gap(value):
            before = None
            continue
        dot = (round(number * step), round((1 - _share(value, bottom, top)) * (rows - 1)))
        for x, y in _between(before or dot, dot):
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        before = dot
    return ["".join(chr(_BLANK + dots) if dots else " " for dots in line) for line in cells]


def _between(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """The dots of a straight line."""
    (x0, y0), (x1, y1) = start, end
    steps = max(abs(x1 - x0), abs(y1 - y0), 1)
    return [(round(x0 + (x1 - x0) * part / steps), round(y0 + (y1 - y0) * part / steps)) for part in range(steps + 1)]


def chart(
    title: Cell,
    points: Sequence[tuple[float, float]],
    tones: Mapping[str, str],
    width: int,
    height: int,
) -> Text:
    """A title with the last value, and below it the curve of (x, y) between its ends; one line where there is no curve.

    The points are drawn evenly, as they come. `width` and `height` are in cells and hold for all of it.
    """
    values = [value for _, value in points]
    finite = known(values)
    last = figure(values[-1]) if values else figure(None)
    head = assemble(dict(tones), title, Cell("  "), Cell(last, "strong"))
    if len(finite) < 2 or height < 3:
        return head
    bottom, top = bounds(finite)
    labels = [figure(max(finite)), *[""] * (height - 4), figure(min(finite))] if height > 3 else [figure(max(finite))]
    margin = max(len(label) for label in labels)
    lines = [head]
    for label, drawn in zip(labels, curve(values, width - margin - 2, len(labels), bottom, top), strict=True):
        lines.append(assemble(dict(tones), Cell(f"{label:>{margin}} ▏", "muted"), Cell(drawn, "busy")))
    ends = (figure(points[0][0]), figure(points[-1][0]))
    axis = f"{ends[0]}{ends[1]:>{max(width - margin - 2 - len(ends[0]), 0)}}"
    lines.append(assemble(dict(tones), Cell(" " * (margin + 2) + axis, "muted")))
    return Text("\n").join(lines)


def span_bar(begin: float, end: float, width: int) -> str:
    """A bar from `begin` to `end`, both shares of `width` cells: `   ▐███▌  `. Never shorter than half a cell."""
    halves = width * 2
    first = min(max(round(begin * halves), 0), halves - 1)
    last = min(max(round(end * halves), first + 1), halves)
    cells = []
    for cell in range(width):
        left, right = first <= cell * 2 < last, first <= cell * 2 + 1 < last
        cells.append("█" if left and right else "▌" if left else "▐" if right else " ")
    return "".join(cells)
