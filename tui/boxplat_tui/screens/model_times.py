"""What was live when, of one model: a line of time for each version, and the periods as rows. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from boxplat.core.registry import Registered
from boxplat_tui.format import NONE, clock, duration, moment
from boxplat_tui.glyphs import Cell, graph
from boxplat_tui.widgets.table import Column, Row

PERIODS = (
    Column("FROM", 16),
    Column("FOR", 7, right=True),
    Column("ENDPOINT", 12),
    Column("TRAFFIC", 22),
    Column("BY", 10, from_width=96),
    Column("WHY", from_width=70),
)
Period = Mapping[str, Any]


def periods(history: Mapping[str, Any]) -> list[Period]:
    """From what `box models history NAME --json` says, the oldest first: endpoint, begin, end, weights, shadow …"""
    return [{"endpoint": one["endpoint"], **one["period"]} for one in history.get("live", ())]


def rows(found: Sequence[Period], model: Registered, now: float) -> list[Row]:
    """A row a period, the newest first; its key begins with a release that answered then: `delay@2/14`."""
    known = _versions(model)
    return [_row(one, known, now) for one in sorted(found, key=lambda one: -one["begin"])]


def _row(one: Period, known: Mapping[str, int], now: float) -> Row:
    took = (one["end"] or now) - one["begin"]
    shares = [f"{_name(one, number, known)} {weight} %" for number, weight in one["weights"].items()]
    shadow = [f"{_name(one, one['shadow'], known)} shadow"] if one["shadow"] else []
    words, why = "  ".join([*shares, *shadow]) or "nothing", one["reason"] or one["kind"] or NONE
    return Row(
        f"{one['endpoint']}@{next(iter(one['weights']), one['shadow'] or '')}/{one['entry']}",
        (
            Cell(moment(one["begin"])[:16], "muted"),
            Cell(duration(took)),
            Cell(one["endpoint"], "strong"),
            Cell(words, "" if one["end"] else "ok"),
            Cell(one["by"], "muted"),
            Cell(why, "muted"),
        ),
        (one["begin"], took, one["endpoint"], words, one["by"], why),
    )


def _name(one: Period, release: object, known: Mapping[str, int]) -> str:
    version = known.get(f"{one['endpoint']}@{release}")
    return f"#{release}" if version is None else f"v{version}"


def _versions(model: Registered) -> dict[str, int]:
    """The version behind each release."""
    return {release: one.version.version for one in model.versions for release in one.releases}


def chart(
    found: Sequence[Period], model: Registered, now: float, width: int, most: int = 6
) -> Iterator[tuple[Cell, ...]]:
    """A line of time for each version, the height of a block its share, `░` a shadow; the newest `most` versions.

    A period is as wide as the square root of its length, so that a minute and a month both can be seen.
    """
    known = _versions(model)
    room = max(width - 16, 10)
    for endpoint in sorted({one["endpoint"] for one in found}):
        own = [one for one in found if one["endpoint"] == endpoint][-(room // 2) :]
        cells = _widths([(one["end"] or now) - one["begin"] for one in own], room)
        names = {f"{endpoint}@{number}" for one in own for number in (*one["weights"], one["shadow"])}
        versions = sorted({known[name] for name in names if name in known}, reverse=True)
        for version in versions[:most]:
            parts = [_part(one, version, known) * wide for one, wide in zip(own, cells, strict=True)]
            yield Cell(f"{endpoint:<10.10} ", "muted"), Cell(f"v{version:<4}"), Cell("".join(parts), "accent")
        yield Cell(" " * 16), Cell(_axis([one["begin"] for one in own], cells, now), "muted")


def _part(one: Period, version: int, known: Mapping[str, int]) -> str:
    """One cell of a version in a period."""
    mine = [number for number in one["weights"] if known.get(f"{one['endpoint']}@{number}") == version]
    share = sum(one["weights"][number] for number in mine)
    if share:
        return graph([share], 1)[0]
    return "░" if known.get(f"{one['endpoint']}@{one['shadow']}") == version else " "


def _widths(lengths: Sequence[float], room: int) -> list[int]:
    """Cells for each length, at least one, `room` together."""
    roots = [math.sqrt(max(length, 0.0)) for length in lengths]
    left = room - len(roots)
    whole = sum(roots) or 1.0
    ends = [round(left * sum(roots[: index + 1]) / whole) for index in range(len(roots))]
    return [1 + end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def _axis(begins: Sequence[float], cells: Sequence[int], now: float) -> str:
    """The time of day under the beginning of each period where there is room for it; the day under the first."""
    line, place, room = "", 0, sum(cells) - 4
    for index, (begin, wide) in enumerate(zip(begins, cells, strict=True)):
        text = moment(begin)[5:16] if index == 0 or now - begin > 86400 else clock(begin)[:5]
        if (not line or place > len(line)) and place + len(text) <= room:
            line = line.ljust(place) + text
        place += wide
    return line.ljust(room + 1) + "now"
