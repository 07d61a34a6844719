"""Who has how much of something, as one bar of parts and a legend: an owner keeps its colour and its filling."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from boxplat_tui.format import size
from boxplat_tui.glyphs import Cell
from boxplat_tui.widgets.bars import assemble

if TYPE_CHECKING:
    from boxplat.runs.shares import Part, Share

_FILLINGS = "█▓▒"
_TONES = ("accent", "ok", "busy")
_PROMISED, _FREE = "▂", "·"
_NOBODYS = {"box": Cell("▞", "muted"), "others": Cell("░", "muted")}


class Colours:
    """Which filling and which tone each owner has; it keeps them as long as it is there."""

    def __init__(self) -> None:
        self._slots: dict[str, int] = {}

    def follow(self, owners: Iterable[str]) -> None:
        """Give new owners the first that are free, and take back those of owners that have gone."""
        wanted = [owner for owner in dict.fromkeys(owners) if owner not in _NOBODYS]
        self._slots = {owner: slot for owner, slot in self._slots.items() if owner in wanted}
        for owner in sorted(set(wanted) - self._slots.keys()):
            taken = set(self._slots.values())
            self._slots[owner] = next(slot for slot in range(len(taken) + 1) if slot not in taken)

    def of(self, owner: str) -> Cell:
        """One cell of its part of a bar."""
        if owner in _NOBODYS:
            return _NOBODYS[owner]
        slot = self._slots.get(owner, 0)
        return Cell(_FILLINGS[slot % len(_FILLINGS)], _TONES[(slot + slot // len(_FILLINGS)) % len(_TONES)])


def divided(values: Sequence[float], total: float, width: int) -> list[int]:
    """Cells for each value of a bar of `width`, rounded by the largest remainder; a little is never hidden.

    Returns:
        as many numbers as there are values, and one more for what is left of `total`; their sum is `width`.
    """
    rest = max(0.0, total - sum(values))
    scale = sum(values) + rest
    if scale <= 0 or width < sum(value > 0 for value in values):
        return [*([0] * len(values)), max(width, 0)]
    exact = [value * width / scale for value in (*values, rest)]
    cells = [max(int(part), 1) if value > 0 else 0 for part, value in zip(exact, values, strict=False)]
    cells.append(int(exact[-1]))
    while (missing := width - sum(cells)) != 0:
        step = 1 if missing > 0 else -1
        # Whose part is furthest from what it should be, of those that have a cell to spare.
        fit = [i for i, count in enumerate(cells) if step > 0 or count > (1 if i < len(values) else 0)]
        best = max(fit, key=lambda i: step * (exact[i] - cells[i]))
        cells[best] += step
    return cells


def bar(share: Share, colours: Colours, width: int) -> list[Cell]:
    """The parts in one line of `width` cells: what is used, what is promised besides, and at the end what is free."""
    pieces = [(colours.of(part.owner), part.used) for part in share.parts]
    promised = [(Cell(_PROMISED, colours.of(part.owner).tone), part.promised) for part in share.parts]
    both = [piece for pair in zip(pieces, promised, strict=True) for piece in pair]
    *cells, free = divided([value for _, value in both], share.total, width)
    drawn = [Cell(cell.text * count, cell.tone) for (cell, _), count in zip(both, cells, strict=True) if count]
    return [*drawn, Cell(_FREE * free, "muted")]


def amount(share: Share, value: float) -> str:
    """Cores as a number, all else in bytes."""
    return f"{round(value, 2):g}" if share.kind == "cores" else size(round(value))


def _has(share: Share, part: Part) -> str:
    """`6.2 GiB`, or `2.0 of 14 GiB` of what was granted."""
    used, granted = amount(share, part.used), amount(share, part.used + part.promised)
    if not part.promised:
        return used
    unit = granted.rpartition(" ")[2]
    return f"{used.removesuffix(f' {unit}')} of {granted}"


def legend(share: Share, colours: Colours, names: Mapping[str, str], tones: dict[str, str], width: int) -> Text:
    """Which part of one bar is whose and how much it is, in one line; where it is narrow without what is promised."""
    free = [Cell(_FREE, "muted"), Cell(f" {amount(share, share.free)} free", "muted")]
    for has in (_has, lambda share, part: amount(share, part.used or part.promised)):
        entries = [
            [colours.of(part.owner), Cell(f" {names.get(part.owner, part.owner)} ", "strong"), Cell(has(share, part))]
            for part in share.parts
        ]
        if sum(map(_length, entries)) + _length(free) <= width:
            break
    return _told(entries, free, tones, width)


def key(shares: Sequence[Share], colours: Colours, names: Mapping[str, str], tones: dict[str, str], width: int) -> Text:
    """Which colour is whose in all bars, in one line."""
    owners = dict.fromkeys(part.owner for share in shares for part in share.parts)
    entries = [[colours.of(owner), Cell(f" {names.get(owner, owner)}")] for owner in owners]
    return _told(entries, [Cell(f"{_PROMISED} promised", "muted")], tones, width)


def _told(entries: Sequence[Sequence[Cell]], end: Sequence[Cell], tones: dict[str, str], width: int) -> Text:
    """As many entries as there is room for, how many more there are, and what comes at the end."""
    cells: list[Cell | str] = []
    room = width - _length(end)
    for count, entry in enumerate(entries):
        left = len(entries) - count
        if _length(entry) + (9 if left > 1 else 0) > room:
            cells.append(Cell(f"+{left} more  ", "muted"))
            break
        cells += [*entry, "  "]
        room -= _length(entry)
    return assemble(tones, *cells, *end)


def _length(cells: Sequence[Cell]) -> int:
    return sum(Text(cell.text).cell_len for cell in cells) + 2
