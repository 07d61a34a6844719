"""What a prediction, release, model or run was made of, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Tree

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.lineage import Thing, beginnings, details, label, thing
from boxplat_tui.reading import Reading
from boxplat_tui.screens.ask import AskScreen
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.facts import Facts
from boxplat_tui.widgets.thingtree import ThingTree

_KINDS = ("release.", "endpoint.", "model.", "run.succeeded")
_NEWEST = 12


class LineageScreen(BoxScreen):
    """One thing in the middle; Enter on another puts that there, Escape goes back."""

    MODE = "lineage"
    HELP = (
        "Everything that a prediction, release, model version or run was made of, and what came of it. Enter puts what "
        "is under the cursor in the middle, esc goes back, i asks after an id; tab reaches the details."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "ask", "Ask after an id"),
        Binding("v", "visit", "Go to it"),
        Binding("tab", "app.focus_next", "Details", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._centres: list[str] = []
        self._told: Mapping[str, Any] | None = None
        self._thing: Thing | None = None

    @property
    def centre(self) -> str:
        """What is in the middle, as `box why` asks after it; empty while there is nothing."""
        return self._centres[-1] if self._centres else ""

    @property
    def trail(self) -> str:
        return self.centre

    def readings(self) -> Sequence[Reading]:
        return [self._reading] if self.centre else []

    @property
    def _reading(self) -> Reading:
        return self.box_app.reading("why", self.centre, every=60.0, kinds=_KINDS)

    def body(self) -> ComposeResult:
        yield Line("nothing")
        with Container(id="lineage"):
            yield ThingTree()
            yield Facts("details")

    def on_mount(self) -> None:
        self.query_one(ThingTree).retone(self.tones)

    def retone(self) -> None:
        self.query_one(ThingTree).retone(self.tones)
        super().retone()

    def show(self, snapshot: Snapshot) -> None:
        if not self._centres:
            found = [name for name, _ in beginnings(snapshot)]
            self._centres = found[:1]
        answer = self._answer()
        self.query_one("#nothing", Line).say(self._nothing(answer))
        self.query_one("#nothing").display = answer is None
        self.query_one("#lineage").display = answer is not None
        tree = self.query_one(ThingTree)
        tree.show(answer)
        if answer and self.app.focused is None:
            tree.focus()

    def _answer(self) -> Thing | None:
        if not self.centre or not self._reading.known:
            return None
        found = self._reading.data.get("why", {}).get("subject")
        if found is not self._told:
            self._told, self._thing = found, thing(found) if found else None
        return self._thing

    def _nothing(self, answer: Thing | None) -> Text:
        if answer:
            return Text("")
        if self.centre:
            said = "" if self._reading.error else f"Reading: {commands.why(self.centre).text} …"
            return assemble(self.tones, Cell(said, "muted"))
        first = f"box run {self.box_app.first_flow} --wait"
        hint = assemble(self.tones, "Everything begins with a run: ", Cell(first, "accent"), "  (2 r)")
        return Text("\n").join([assemble(self.tones, "Nothing has been made yet."), hint])

    @on(Tree.NodeHighlighted)
    def _highlighted(self) -> None:
        one, pane = self.query_one(ThingTree).selected, self.query_one(Facts)
        if one is None or one.role == "group":
            pane.tell(Text(""), (), self.tones)
            return
        notes = [assemble(self.tones, Cell(f"▲ {note}", "warn")) for note in one.notes]
        pane.tell(Text("\n").join([assemble(self.tones, *label(one)[:2]), *notes]), details(one), self.tones)

    def reveal(self, key: str) -> bool:
        """Put what `key` names in the middle."""
        if key != self.centre:
            self._centres.append(key)
            self.box_app.call_later(self.take)
        return True

    @on(Tree.NodeSelected)
    def _row_selected(self) -> None:
        one = self.query_one(ThingTree).selected
        if one and one.ask:
            self.reveal(one.ask)
        elif one and one.below:
            self.query_one(ThingTree).action_toggle_node()

    def action_back(self) -> None:
        if self.query_one("#filter").display or len(self._centres) < 2:
            super().action_back()
            return
        self._centres.pop()
        self.take()

    def action_ask(self) -> None:
        for reading in self._predictions():
            self.box_app.keep_fresh(reading)

        def centre(key: str | None) -> None:
            if key:
                self.reveal(key)

        title = "Ask after a prediction, release, model or run"
        self.app.push_screen(AskScreen(title, self._choices, lambda key: commands.why(key).text), centre)

    def _predictions(self) -> list[Reading]:
        """The newest predictions of each endpoint that has any."""
        snapshot = self.box_app.latest
        return [
            self.box_app.reading("predictions", endpoint.name, "--limit", str(_NEWEST), every=30.0)
            for endpoint in (snapshot.endpoints if snapshot else ())
            if endpoint.releases
        ]

    def _choices(self) -> list[tuple[str, str]]:
        snapshot = self.box_app.latest
        if snapshot is None:
            return []
        predicted = [
            (f"prediction/{row['id']}", f"prediction of {row.get('endpoint', '')} {str(row.get('time', ''))[:19]}")
            for reading in self._predictions()
            for row in reversed(reading.data.get("predictions", []))
        ]
        return beginnings(snapshot)[:1] + predicted + beginnings(snapshot)[1:]

    def subject(self) -> tuple[str, Command] | None:
        one = self.query_one(ThingTree).selected
        if one is None:
            return None
        return one.name, commands.why(one.ask or self.centre)

    def action_visit(self) -> None:
        """Go to the screen of what is under the cursor."""
        one = self.query_one(ThingTree).selected
        match one.kind if one else "":
            case "run" if one:
                self.box_app.visit(one.name)
            case "release" if one:
                self.box_app.reveal("endpoints", one.name.partition("@")[0])
            case "model version" if one:
                self.box_app.reveal("models", one.name.removeprefix("models:/"))
            case "prediction" | "traffic" if one:
                self.box_app.action_go("endpoints")

    def apply_filter(self, pattern: str) -> None:
        self.query_one(ThingTree).filter(pattern)

    def focus_body(self) -> None:
        self.query_one(ThingTree).focus()

    def keys(self) -> list[Binding]:
        tree = [one for one in ThingTree.BINDINGS if isinstance(one, Binding)]
        return [*super().keys(), *tree]
