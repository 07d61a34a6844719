"""What no file shows alone: events and flows that nobody knows, and flows that start each other in a circle."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from boxplat.adapters.schedules import Awaited, Starts
from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.runs.schedules.names import PUBLIC, reserved

# Of the end of a flow, in Metaflow's words and in ours.
_END = re.compile(r"metaflow\.(\w+)\.end|run\.(?:succeeded|failed|cancelled)\.(\w+)")


def refusals(starts: Mapping[str, tuple[str, Starts]]) -> dict[str, BoxError]:
    """Why flows cannot start by themselves.

    Args:
        starts: by file, the flow's name and what starts it.

    Returns:
        by file, the error of each that cannot.
    """
    names = {name for name, _ in starts.values()}
    found: dict[str, BoxError] = {}
    for flow, (name, one) in starts.items():
        why = next(filter(None, (_unknown(event, names) for event in one.events)), "")
        if why:
            found[flow] = _error(f"{name} in {flow} waits for what never comes", why)
    links: dict[str, set[str]] = {}
    for name, one in starts.values():
        # Two files may hold flows of one name; the end of either is that of both.
        links.setdefault(name, set()).update(end for event in one.events if (end := ended(event)))
    for flow, (name, _) in starts.items():
        circle = _circle(name, links)
        if circle and flow not in found:
            found[flow] = _error(
                f"{name} in {flow} would start itself for ever",
                f"the end of each starts the next: {' → '.join(circle)}",
            )
    return found


def ended(event: Awaited) -> str:
    """The flow whose end an event is; empty for any other event."""
    match = _END.fullmatch(event.name)
    return event.flow or (match and (match[1] or match[2])) or ""


def unheard(name: str) -> str:
    """Why boxplat will never publish an event of a name that only it may publish; empty where it may come."""
    if not reserved(name):
        return ""
    known = [kind for kind in PUBLIC if name == kind or name.startswith(f"{kind}.")]
    if known or _END.fullmatch(name):
        return ""
    return f"boxplat has no event {name!r}{nearest(name, PUBLIC)}; it has: {', '.join(PUBLIC)}"


def _unknown(event: Awaited, names: Iterable[str]) -> str:
    end = ended(event)
    if end and end not in names:
        return f"no flow of this project is called {end!r}{nearest(end, names)}; there are: {', '.join(sorted(names))}"
    return "" if end else unheard(event.name)


def _circle(name: str, links: Mapping[str, set[str]]) -> list[str]:
    """The way from a flow's end back to its start, with it at both ends; empty where there is none."""
    ways = [[name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop(0)
        for before in sorted(links.get(way[0], ())):
            if before == name:
                return [name, *way]
            if before not in seen:
                seen.add(before)
                ways.append([before, *way])
    return []


def _error(what: str, why: str) -> BoxError:
    return BoxError(what, why=why, fix="correct the decorator, then: box schedule list", code=ExitCode.USAGE)
