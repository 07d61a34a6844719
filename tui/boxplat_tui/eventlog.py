"""The audit log in pages, however long it is: a search looks at a bounded part at a time, in the reading thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from boxplat.core.model import Event
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.snapshot import Box

PAGE = 200
MOST = 200
# Ids that one reading looks at for an expression (30 ms), and for a kind (15 ms).
SPAN, KIND_SPAN = 20_000, 200_000
_AHEAD = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events: of a subject, of a kind, that an expression is in; the newest, or those below `before`.

    `at` (seconds since the epoch) is a moment to begin at instead.
    """

    subject: str = ""
    kind: str = ""
    match: str = ""
    before: int | None = None
    at: float | None = None

    @property
    def newest(self) -> bool:
        """Whether what happens now belongs to it."""
        return self.before is None and self.at is None

    @property
    def span(self) -> int:
        """How many ids to look at in one reading; 0: as many as there are."""
        return SPAN if self.match else KIND_SPAN if self.kind else 0

    @property
    def command(self) -> Command:
        """The same in a shell."""
        return commands.events(self.subject, self.kind, self.match)


def typed(text: str) -> Asked:
    """`subject=run/13 kind=run.failed any other words`: the other words are the expression."""
    found = {"subject": "", "kind": ""}
    rest = []
    for word in text.split(" "):
        key, equals, value = word.partition("=")
        if equals and key in found:
            found[key] = value
        else:
            rest.append(word)
    return Asked(found["subject"], found["kind"], " ".join(rest).strip())


def spelled(asked: Asked) -> str:
    """The inverse of `typed`."""
    known = (f"{key}={value}" for key, value in (("subject", asked.subject), ("kind", asked.kind)) if value)
    return " ".join([*known, *([asked.match] if asked.match else [])])


@dataclass(frozen=True, slots=True)
class Page:
    """Events that pass, the newest first. All above `reached` were looked at; `whole`: no more belong to the page."""

    asked: Asked
    events: tuple[Event, ...] = ()
    reached: int = 0
    whole: bool = False
    latest: int = 0

    @property
    def older(self) -> bool:
        """Whether there may be events before this page."""
        return self.whole and self.reached > 1


class EventPages:
    """Reads a page piece by piece, and what is new on the newest one. All of it belongs to the reading thread."""

    def __init__(self) -> None:
        self._page: Page | None = None

    def read(self, box: Box, asked: Asked) -> Page:
        """What is known of the page by now: read again until it is whole."""
        page = self._page if self._page and self._page.asked == asked else self._first(box, asked)
        if asked.newest:
            page = _with_new(box, page)
        if not page.whole:
            page = _further(box, page)
        self._page = page
        return page

    @staticmethod
    def _first(box: Box, asked: Asked) -> Page:
        newest = next(iter(box.events(limit=1)), None)
        latest = newest.id if newest else 0
        before = latest + 1
        if asked.at is not None:
            before = min(box.event_since(asked.at) + _AHEAD, before)
        elif asked.before is not None:
            before = asked.before
        return Page(asked, reached=before, latest=latest)


def _with_new(box: Box, page: Page) -> Page:
    asked = page.asked
    found = box.events(page.latest, asked.subject or None, MOST, None, asked.kind or None, asked.match)
    newest = next(iter(box.events(page.latest, limit=1)), None)
    latest = max(found[-1].id if found else 0, newest.id if newest else 0, page.latest)
    events = (*reversed(found), *page.events)
    if len(events) > MOST:
        return Page(asked, events[:MOST], events[MOST - 1].id, whole=True, latest=latest)
    return replace(page, events=events, latest=latest)


def _further(box: Box, page: Page) -> Page:
    asked, room = page.asked, PAGE - len(page.events)
    after = max(page.reached - 1 - asked.span, 0) if asked.span else 0
    found = box.events(after, asked.subject or None, room, page.reached, asked.kind or None, asked.match)
    full = len(found) >= room > 0
    reached = found[0].id if full else after + 1
    return replace(page, events=(*page.events, *reversed(found)), reached=reached, whole=full or reached <= 1)


def lines(event: Event) -> Iterator[tuple[str, str]]:
    """Everything that an event tells, as pairs of a name and a value."""
    yield "number", f"{event.id:,}"
    yield "subject", event.subject
    for key, value in event.data.items():
        if isinstance(value, dict) and value:
            yield key, ""
            yield from ((f"  {inner}", str(found)) for inner, found in value.items())
        else:
            yield key, str(value)
