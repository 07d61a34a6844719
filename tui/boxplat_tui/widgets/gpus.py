"""The machine and its NVIDIA devices: how busy they are, and who has what of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text

from boxplat.core.model import Gpu, Host, Snapshot
from boxplat_tui.format import NONE, number, share, size
from boxplat_tui.glyphs import Cell, graph, meter
from boxplat_tui.snapshot import HOST, GpuHistory
from boxplat_tui.widgets.bars import assemble
from boxplat_tui.widgets.shares import Colours, amount, bar, key, legend

if TYPE_CHECKING:
    from boxplat.runs.shares import Share

LABEL = 8
FIGURES = 22
SHORT = 12


def of(used: int, total: int) -> str:
    """`10.0 of 139 GiB`."""
    here, whole = size(used), size(total)
    return f"{here.removesuffix(' GiB') if whole.endswith(' GiB') else here} of {whole}"


def percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.0f} %"


def power(gpu: Gpu) -> str:
    """`412 of 700 W`."""
    return number(gpu.power, "W") if gpu.power_limit is None else f"{gpu.power or 0:.0f} of {gpu.power_limit:.0f} W"


def strip(gpu: Gpu, history: Sequence[float | None], tones: dict[str, str], width: int) -> Text:
    """One device in one line of at most `width` cells."""
    name = gpu.name.removeprefix("NVIDIA ")
    cells = [Cell(f"GPU {gpu.index} ", "muted"), Cell(f"{name:<10.18}  ", "strong")]
    cells += _strip(percent(gpu.utilisation), history, gpu.memory_used, gpu.memory_total, width)
    if width >= 100:
        cells.append(Cell(f"  {power(gpu)}  {number(gpu.temperature, '°C')}", "muted"))
    return assemble(tones, *cells)


def host_strip(host: Host, history: Sequence[float | None], tones: dict[str, str], width: int) -> Text:
    """Cores and memory of the machine in one line of at most `width` cells."""
    cells = [Cell("CPU   ", "muted"), Cell(f"{host.cores:g} cores".ljust(12), "strong")]
    return assemble(tones, *cells, *_strip(busy(host), history, host.memory_used, host.memory_total, width))


def _strip(use: str, history: Sequence[float | None], used: int, total: int, width: int) -> list[Cell]:
    return [
        Cell(graph(history, 12 if width < 100 else 30)[0], "busy"),
        Cell(f" {use:>5}  "),
        *meter(share(used, total), 8 if width < 100 else 16, "accent"),
        Cell(f" {of(used, total)}"),
    ]


def busy(host: Host) -> str:
    """How busy the cores are, in percent of all that may be used."""
    return percent(None if host.busy is None else 100 * host.busy / host.cores)


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that the blocks below show.

    `names` are owners in words, `lines` how many lines may be filled.
    """

    snapshot: Snapshot
    shares: Sequence[Share]
    history: GpuHistory
    colours: Colours
    names: Mapping[str, str]
    tones: dict[str, str]
    width: int
    lines: int


def machine(shown: Machine) -> Text:
    """Each device and the machine itself, with as much detail as there are lines for: history, parts, legends."""
    lines: list[Text] = []
    for height, full in ((4, True), (2, True), (1, True), (1, False)):
        lines = list(_blocks(shown, height, full))
        if len(lines) <= shown.lines:
            return Text("\n").join(lines)
    return Text("\n").join(_lines(shown) if len(shown.snapshot.gpus) > 1 else lines)


def _blocks(shown: Machine, height: int, full: bool) -> Iterator[Text]:
    """`full`: each bar has its legend; otherwise all bars have one, which does since an owner keeps its colour."""
    for gpu in shown.snapshot.gpus:
        yield from _gpu(shown, gpu, height, full)
    yield from _host(shown, 1 if shown.snapshot.gpus else height, full)
    if not full:
        yield _key(shown)


def _lines(shown: Machine) -> Iterator[Text]:
    """A line a device and one for the machine, for where there are many."""
    for gpu in shown.snapshot.gpus:
        own = next((one for one in shown.shares if one.index == gpu.index and not one.slice), None)
        held = of(gpu.memory_used, gpu.memory_total)
        yield _line(shown, f"GPU {gpu.index}", gpu.uuid, percent(gpu.utilisation), own, held)
    host = shown.snapshot.host
    memory = next((one for one in shown.shares if one.kind == "memory"), None)
    if host is not None:
        held = of(host.memory_used, host.memory_total)
        yield _line(shown, "CPU", HOST, busy(host), memory, held)
    yield _key(shown)


def _line(shown: Machine, label: str, name: str, use: str, one: Share | None, held: str) -> Text:
    drawn = graph(shown.history.utilisation.get(name, ()), SHORT)[0]
    width = max(shown.width - LABEL - SHORT - 8 - FIGURES, 1)
    parts = bar(one, shown.colours, width) if one else [Cell(" " * width)]
    return _row(shown, label, [Cell(drawn, "busy"), Cell(f"{use:>6}  "), *parts], held)


def _key(shown: Machine) -> Text:
    return _indented(key(shown.shares, shown.colours, shown.names, shown.tones, shown.width - LABEL))


def _indented(told: Text) -> Text:
    return Text(" " * LABEL, no_wrap=True, overflow="ellipsis").append_text(told)


def _gpu(shown: Machine, gpu: Gpu, height: int, full: bool) -> Iterator[Text]:
    heat, held = f"{power(gpu)}  {number(gpu.temperature, '°C')}", of(gpu.memory_used, gpu.memory_total)
    label, figures = f"GPU {gpu.index}", percent(gpu.utilisation)
    if full:
        room = shown.width - LABEL - len(heat)
        name = Cell(f"{gpu.name:<{room}.{max(room - 2, 0)}}", "strong")
        yield assemble(shown.tones, Cell(f"{label:<{LABEL}}", "muted"), name, Cell(heat, "muted"))
        label = "use"
    else:
        figures = f"{figures}  {number(gpu.power, 'W')}  {number(gpu.temperature, '°C')}"
    yield from _history(shown, label, gpu.uuid, figures, height)
    shares = [one for one in shown.shares if one.index == gpu.index]
    for one in shares:
        name_of = one.name.rpartition(" ")[2] if one.slice else "memory"
        yield from _parts(
            shown, one, name_of, of(round(one.total - one.free), round(one.total)) if one.slice else held, full
        )
    if not shares:
        bar_of = meter(share(gpu.memory_used, gpu.memory_total), shown.width - LABEL - FIGURES, "accent")
        yield _row(shown, "memory", bar_of, held)


def _host(shown: Machine, height: int, full: bool) -> Iterator[Text]:
    host = shown.snapshot.host
    if host is not None:
        yield from _history(shown, "CPU", HOST, f"{busy(host)} of {host.cores:g} cores", height)
    for one in shown.shares:
        if one.kind == "cores":
            figures = f"{amount(one, one.total - one.free)} of {one.total:g} cores"
            yield from _parts(shown, one, "lent", figures, full)
        elif one.kind == "memory":
            yield from _parts(shown, one, "memory", of(round(one.total - one.free), round(one.total)), full)


def _row(shown: Machine, label: str, middle: Sequence[Cell], figures: str) -> Text:
    return assemble(shown.tones, Cell(f"{label:<{LABEL}.{LABEL - 1}}", "muted"), *middle, Cell(f"{figures:>{FIGURES}}"))


def _history(shown: Machine, label: str, name: str, figures: str, height: int) -> Iterator[Text]:
    """A column a second, against all that there is."""
    drawn = graph(shown.history.utilisation.get(name, ()), shown.width - LABEL - FIGURES, height)
    for row, line in enumerate(drawn, 1):
        last = row == len(drawn)
        yield _row(shown, label if last else "", [Cell(line, "busy")], figures if last else "")


def _parts(shown: Machine, one: Share, label: str, figures: str, full: bool) -> Iterator[Text]:
    yield _row(shown, label, bar(one, shown.colours, shown.width - LABEL - FIGURES), figures)
    if full:
        told = legend(one, shown.colours, shown.names, shown.tones, shown.width - LABEL)
        yield _indented(told)
