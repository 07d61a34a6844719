"""One feature view: what it holds, how its values are distributed, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import DataTable

from boxplat.core.model import Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.reading import Reading
from boxplat_tui.screens import feature_plots, feature_rows, feature_ways
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line
from boxplat_tui.widgets.table import Listing

Values = Mapping[str, Any]

SERVICE = "features"
AUDIT = "audit"
TALL = 30
_KINDS = ("features.",)
_NARROWEST = 20


class ViewPane(Vertical):
    """One view: what it is, its features, and the values of the one under the cursor."""

    def compose(self) -> ComposeResult:
        yield Line("view")
        yield Listing(feature_rows.FEATURES, "It declares no features.", "fields")
        with VerticalScroll(id="values", can_focus=False):
            yield Line("distribution")


class ViewScreen(BoxScreen):
    """One view at a time, and what can be done with it."""

    MODE = "features"
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-tall")]  # noqa: RUF012 (Textual declares it so)
    CHANGES = frozenset({"apply", "materialize", "ask", "audit", "skew"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("m", "materialize", "Materialize"),
        Binding("a", "apply", "Apply", show=False),
        Binding("p", "ask", "Try a key"),
        Binding("A", "audit", "Audit"),
        Binding("w", "skew", "Skew", show=False),
        Binding("v", "report", "View the last audit", show=False),
        Binding("l", "log", "Log of the feature server", show=False),
    ]

    @property
    def chosen(self) -> str | None:
        """Which view this is about."""
        raise NotImplementedError

    @property
    def listing(self) -> Reading:
        """Every view as declared and as it stands."""
        return self.box_app.reading("features", "list", every=30.0, kinds=_KINDS)

    @property
    def view(self) -> Values | None:
        """The view that this is about."""
        return next((view for view in self.listing.data.get("views", ()) if view["view"] == self.chosen), None)

    @property
    def values(self) -> Reading | None:
        """The distributions of the view that this is about."""
        view = self.view
        if view is None or not view["source"]:
            return None
        return self.box_app.reading("features", "show", view["view"], every=300.0, kinds=_KINDS)

    def readings(self) -> Sequence[Reading]:
        return [self.listing, *([self.values] if self.values else [])]

    def subject(self) -> tuple[str, Command] | None:
        return (self.chosen, commands.features_show(self.chosen)) if self.chosen else None

    def url(self) -> str | None:
        snapshot = self.box_app.latest
        return next((one.url for one in snapshot.services if one.name == SERVICE), None) if snapshot else None

    def show_view(self) -> None:
        """Fill the pane."""
        view, reading = self.view, self.values
        shown = reading.data if reading is not None else {}
        pane = self.query_one(ViewPane)
        pane.query_one("#view", Line).display = pane.query_one("#values").display = view is not None
        if view is not None:
            about = feature_rows.about(view, shown, self.box_app.now, short=self.size.height < TALL)
            pane.query_one("#view", Line).say(self.lines(about))
        self.query_one("#fields", Listing).show(feature_rows.features(view, shown) if view is not None else [])
        self.show_values()

    @on(DataTable.RowHighlighted, "#fields LiveTable")
    def show_values(self) -> None:
        """The distribution of the feature under the cursor."""
        reading, name = self.values, self.query_one("#fields", Listing).table.selected
        room = self.query_one("#values").scrollable_content_region
        features = reading.data.get("features", ()) if reading is not None else ()
        found = next((one for one in features if one["name"] == name), None)
        lines: Iterator[tuple[Cell, ...]] = iter(())
        if found is not None and reading is not None:
            rows, sampled = reading.data["rows"], reading.data["sampled"]
            looked = f"all {rows:,} rows" if sampled == rows else f"a sample of {sampled:,} of {rows:,} rows"
            lines = feature_plots.distribution(found, max(room.width - 2, _NARROWEST), room.height, looked)
        elif reading is not None and not reading.known and reading.error is None:
            lines = iter([(Cell("looking at its source …", "muted"),)])
        self.query_one("#distribution", Line).say(self.lines(lines))

    def action_materialize(self) -> None:
        self.choose("Bring the newest rows online", feature_ways.materializations(self.listing.data))

    def action_apply(self) -> None:
        self.box_app.perform(commands.features_apply())

    def action_ask(self) -> None:
        view = self.view
        if view is None:
            return
        if view["online"] is False:
            self.notify(f"{view['view']} has no rows online.", markup=False)
            return
        example = self.values.data.get("example", {}) if self.values else {}
        self.choose(f"Ask for {view['view']} by its keys", feature_ways.questions(view, example))

    def action_audit(self) -> None:
        self.box_app.perform(commands.features_audit())

    def action_report(self) -> None:
        if self.listing.data.get("last", {}).get("audited"):
            self.box_app.open_log(AUDIT)
        else:
            self.notify("No training set has been audited yet: box features audit  (A)", markup=False)

    def action_skew(self) -> None:
        snapshot = self.box_app.latest
        names = [endpoint.name for endpoint in snapshot.endpoints] if snapshot else []
        none = "No endpoint has served anything yet: box deploy NAME"
        self.choose("Compare what an endpoint served with what is recomputed", feature_ways.skews(names), none)

    def action_log(self) -> None:
        self.box_app.open_log(SERVICE)


class OneViewScreen(ViewScreen):
    """One view on a whole screen."""

    HELP = "One feature view. j and k choose a feature, whose values are drawn; p asks for a key; esc goes back."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", key_display="esc")]

    def __init__(self, name: str, feature: str | None = None) -> None:
        super().__init__()
        self._chosen = name
        self._wanted = feature or ""

    @property
    def chosen(self) -> str | None:
        return self._chosen

    @property
    def trail(self) -> str:
        return self._chosen

    def body(self) -> ComposeResult:
        yield ViewPane(id="pane")

    def show(self, snapshot: Snapshot) -> None:
        self.show_view()
