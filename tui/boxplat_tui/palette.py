"""The command palette: every verb in the words of the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.fuzzy import Matcher

from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.lines import clean

if TYPE_CHECKING:
    from boxplat_tui.app import BoxApp

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Entry:
    """What is typed in a shell, what it does, and how the dashboard does it."""

    spelling: str
    says: str
    do: Callable[[], object]


def entries(app: BoxApp) -> Iterator[Entry]:
    """Every verb that applies now: the keys of the screen in front, what changes nothing, what changes something."""
    yield from _here(app)
    yield from _views(app)
    if not app.readonly:
        yield from _changes(app)


def _here(app: BoxApp) -> Iterator[Entry]:
    """What the screen in front offers, on what is under its cursor."""
    screen = app.front
    if screen is None:
        return
    found = screen.subject()
    for binding in screen.offers():
        key = app.get_key_display(binding)
        says = f"key {key}, here on {clean(found[0], 40)}" if found else f"key {key}, on this screen"
        yield Entry(binding.description, says, partial(screen.run_action, binding.action))


def _views(app: BoxApp) -> Iterator[Entry]:
    for command, mode, says in (
        (commands.status(), "overview", "show the overview"),
        (commands.runs(), "runs", "show the runs"),
        (commands.endpoints(), "endpoints", "show the endpoints"),
        (commands.gpu(), "queue", "show the devices and what waits for them"),
        (commands.events(), "events", "show the audit log"),
        (Command(("features", "list")), "features", "show the feature views"),
        (Command(("models", "status")), "models", "show the models"),
        (Command(("why",)), "lineage", "show what came from what"),
    ):
        yield Entry(command.text, says, lambda mode=mode: app.action_go(mode))  # type: ignore[misc]
    for subject in app.log_subjects():
        yield Entry(commands.logs(subject).text, "follow a log", lambda subject=subject: app.open_log(subject))  # type: ignore[misc]
    yield _performs(app, commands.doctor(), "check machine and project")


def _changes(app: BoxApp) -> Iterator[Entry]:
    yield Entry("box run …", "choose a flow and run it", app.choose_flow)
    yield _performs(app, commands.up(), "start every service")
    yield _performs(app, commands.down(), "stop everything")
    yield _performs(app, commands.features_apply(), "register the feature definitions")
    yield _performs(app, commands.features_materialize(), "bring the online store up to date")
    snapshot = app.latest
    for service in snapshot.services if snapshot else ():
        yield _performs(app, commands.restart(service.name), "replace its process by a new one")
    for endpoint in snapshot.endpoints if snapshot else ():
        yield _performs(app, commands.deploy(endpoint.name), "make a release and send traffic to it")
        yield _performs(app, commands.undeploy(endpoint.name), "take the endpoint down")
        yield Entry(
            f"box predict {endpoint.name} …",
            "try a prediction",
            lambda name=endpoint.name: app.try_prediction(name),  # type: ignore[misc]
        )
    for run in snapshot.runs if snapshot else ():
        if not run.state.over:
            yield _performs(app, commands.cancel(run.id, run.name), f"end this run of {run.name}")


def _performs(app: BoxApp, command: Command, says: str) -> Entry:
    return Entry(command.text, says, lambda: app.perform(command))


class BoxCommands(Provider):
    """Feeds the palette of Textual."""

    def _entries(self) -> Iterator[Entry]:
        return entries(cast("BoxApp", self.app))

    async def discover(self) -> Hits:
        for entry in self._entries():
            spelling = clean(entry.spelling, _LONGEST)
            yield DiscoveryHit(Content(spelling), entry.do, text=spelling, help=_verbatim(entry.says))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for entry in self._entries():
            spelling = clean(entry.spelling, _LONGEST)
            score = max(matcher.match(spelling), matcher.match(entry.says))
            if score > 0:
                yield Hit(score, _marked(matcher, spelling), entry.do, text=spelling, help=_verbatim(entry.says))


def _verbatim(text: str) -> str:
    # The palette reads a string as markup, and a name may contain some; a Content is taken as it is.
    return cast("str", Content(clean(text, _LONGEST)))


def _marked(matcher: Matcher, text: str) -> Content:
    """`text` with the letters that match; the matcher's own `highlight` reads the text as markup."""
    shown = Content(text)
    for offset in matcher.fuzzy_search.match(matcher.query, text)[1]:
        shown = shown.stylize(matcher.match_style, offset, offset + 1)
    return shown
