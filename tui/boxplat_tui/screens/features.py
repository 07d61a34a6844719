"""The feature views: how fresh they are, what they hold, and what was last done to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.timer import Timer
from textual.widgets import DataTable

from boxplat.core.errors import BoxError
from boxplat.core.model import Snapshot
from boxplat_tui.glyphs import Cell
from boxplat_tui.reading import Reading
from boxplat_tui.screens import feature_rows
from boxplat_tui.screens.view import OneViewScreen, ViewPane, ViewScreen
from boxplat_tui.widgets.bars import Line
from boxplat_tui.widgets.table import Listing

WIDE = 120
_SETTLED_SECONDS = 0.3


class FeaturesScreen(ViewScreen):
    """Every view; beside them, where there is room, the one under the cursor."""

    HELP = (
        "Feature views, and how old the newest row of each is against its time to live. Enter shows the features of a "
        "view and how their values are distributed; m brings new rows online; p asks for a key; A audits the training "
        "set; w compares what was served with what is recomputed."
    )
    _settled: str | None = None
    _resting: str | None = None
    _timer: Timer | None = None

    def body(self) -> ComposeResult:
        yield Line("done")
        with Container(id="features"):
            with Vertical(id="standing"):
                yield Listing(feature_rows.VIEWS, "", "views")
                yield Line("teach")
            yield ViewPane(id="pane")

    @property
    def chosen(self) -> str | None:
        return self.query_one("#views", Listing).table.selected if self._composed else None

    def readings(self) -> Sequence[Reading]:
        """Only where the cursor rests: a way through a long list looks at no file."""
        return super().readings() if self._settled == self.chosen else [self.listing]

    def show(self, snapshot: Snapshot) -> None:
        reading = self.listing
        self.query_one("#views", Listing).show(feature_rows.views(reading.data.get("views", ()), snapshot.at))
        done, teach = self.query_one("#done", Line), self.query_one("#teach", Line)
        done.display = reading.known
        done.say(self.lines(feature_rows.standing(reading.data, snapshot.at)))
        empty = not reading.data.get("views")
        teach.display = empty
        teach.say(self.lines(_teach(reading)))
        self.query_one("#standing #views").display = not empty
        self._follow()

    @on(DataTable.RowHighlighted, "#views LiveTable")
    def _follow(self) -> None:
        self.query_one(ViewPane).display = self.size.width >= WIDE and self.chosen is not None
        if self.query_one(ViewPane).display:
            self.show_view()
        if self.chosen != self._resting:
            self._resting = self.chosen
            if self._timer is not None:
                self._timer.stop()
            self._timer = self.set_timer(_SETTLED_SECONDS, self._settle)

    def _settle(self) -> None:
        self._settled = self.chosen
        self.tick()

    @on(DataTable.RowSelected, "#views LiveTable")
    def _row_selected(self) -> None:
        if self.query_one(ViewPane).display:
            self.query_one("#fields", Listing).table.focus()
        elif self.chosen:
            self.app.push_screen(OneViewScreen(self.chosen))

    @on(DataTable.RowSelected, "#fields LiveTable")
    def _field_selected(self) -> None:
        if self.chosen:
            self.app.push_screen(OneViewScreen(self.chosen, self.query_one("#fields", Listing).table.selected))

    def apply_filter(self, pattern: str) -> None:
        """Views, by their names and by those of their features; the one beside them shows all it has."""
        self.query_one("#views", Listing).filter(pattern)

    def action_back(self) -> None:
        fields, views = self.query_one("#fields", Listing).table, self.query_one("#views", Listing).table
        if fields.has_focus:
            views.focus()
        else:
            super().action_back()


def _teach(reading: Reading) -> Iterator[tuple[Cell, ...]]:
    """What to do where there is no view."""
    if isinstance(reading.error, BoxError):
        yield (Cell("No feature views to show yet: the lines above say why, and the command that helps.", "muted"),)
    elif reading.known:
        yield (
            Cell("No feature view is declared yet. Write one in the feature repository, then: box features apply  (a)"),
        )
    else:
        yield (Cell("reading the feature views …", "muted"),)
