"""NVIDIA devices: a line each for the overview, a block each for their own screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from boxplat.core.model import Gpu
from boxplat_tui.format import NONE, duration, number, share, size
from boxplat_tui.glyphs import Cell, graph, meter
from boxplat_tui.snapshot import HISTORY, SECONDS
from boxplat_tui.widgets.bars import assemble


def memory(gpu: Gpu) -> str:
    """`10.0 of 139 GiB`."""
    used, total = size(gpu.memory_used), size(gpu.memory_total)
    return f"{used.removesuffix(' GiB') if total.endswith(' GiB') else used} of {total}"


def percent(value: int | None) -> str:
    return NONE if value is None else f"{value} %"


def power(gpu: Gpu) -> str:
    """`412 of 700 W`."""
    return number(gpu.power, "W") if gpu.power_limit is None else f"{gpu.power or 0:.0f} of {gpu.power_limit:.0f} W"


def strip(gpu: Gpu, history: Sequence[float | None], tones: dict[str, str], width: int) -> Text:
    """One device in one line of at most `width` cells."""
    name = gpu.name.removeprefix("NVIDIA ")
    cells: list[Cell | str] = [
        Cell(f"GPU {gpu.index} ", "muted"),
        Cell(f"{name:<10.18}  ", "strong"),
        Cell(graph(history, 12 if width < 100 else 30)[0], "busy"),
        f" {percent(gpu.utilisation):>5}  ",
        *meter(share(gpu.memory_used, gpu.memory_total), 8 if width < 100 else 16, "accent"),
        f" {memory(gpu)}",
    ]
    if width >= 100:
        cells.append(Cell(f"  {power(gpu)}  {number(gpu.temperature, '°C')}", "muted"))
    return assemble(tones, *cells)


def block(
    gpu: Gpu,
    utilisation: Sequence[float | None],
    memory_used: Sequence[float | None],
    tones: dict[str, str],
    width: int,
) -> Text:
    """One device with its history, a column a second: utilisation on the left, memory on the right."""
    half = max((width - 4) // 2, 20)
    lines = [
        assemble(
            tones,
            Cell(f"GPU {gpu.index}  ", "muted"),
            Cell(gpu.name, "strong"),
            Cell(f"  {power(gpu)}  {number(gpu.temperature, '°C')}", "muted"),
        ),
        Text(""),
        assemble(
            tones,
            f"{'utilisation':<{half - 6}}{percent(gpu.utilisation):>6}",
            "    ",
            f"{'memory':<{half - 20}}{memory(gpu):>20}",
        ),
    ]
    for left, right in zip(graph(utilisation, half, 4), graph(memory_used, half, 4), strict=True):
        lines.append(assemble(tones, Cell(left, "busy"), "    ", Cell(right, "accent")))
    since = duration(min(half, HISTORY) * SECONDS)
    axis = f"{since + ' ago':>{half - min(half, HISTORY) + len(since) + 4}}".ljust(half - 3) + "now"
    lines.append(assemble(tones, Cell(f"{axis}    {axis}", "muted")))
    return Text("\n").join(lines)
