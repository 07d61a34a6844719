"""The endpoints, the releases of the one under the cursor, and what they do now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import DataTable

from boxplat.core.model import Endpoint, Release, Snapshot
from boxplat_tui.glyphs import Cell
from boxplat_tui.reading import Reading
from boxplat_tui.screens import endpoint_rows
from boxplat_tui.screens.endpoint import EndpointActions, EndpointScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.plots import chart, known
from boxplat_tui.widgets.table import Listing

if TYPE_CHECKING:
    pass


class EndpointsScreen(EndpointActions):
    """Who answers predictions, and with what."""

    HELP = (
        "Each endpoint is a stable URL that sends requests to numbered releases. Figures are of the last 30 s: P50, "
        "P95 and P99 are the times within which half, 95 % and 99 % of the answers came; QUEUE is what came and is "
        "not answered. Enter shows an endpoint with its comparison and its predictions."
    )

    def body(self) -> ComposeResult:
        with Container(id="serving"):
            with Vertical(id="served"):
                empty = "No endpoint yet. Name one in boxplat.toml, then: box deploy NAME"
                yield Listing(endpoint_rows.ENDPOINTS, empty, "endpoints")
                yield Line("chosen")
                yield Listing(endpoint_rows.RELEASES, "No release yet. Make the first one: d", "releases")
                yield Line("brief")
                yield Line("beside")
                yield Line("charts")
            with VerticalScroll(id="this-release", can_focus=False):
                yield Line("known")

    @property
    def endpoint(self) -> Endpoint | None:
        if not self._composed or self.box_app.latest is None:
            return None
        name = self.query_one("#endpoints", Listing).table.selected
        return next((one for one in self.box_app.latest.endpoints if one.name == name), None)

    @property
    def release(self) -> Release | None:
        endpoint, key = self.endpoint, self.query_one("#releases", Listing).table.selected
        return next((one for one in endpoint.releases if str(one.number) == key), None) if endpoint else None

    def readings(self) -> Sequence[Reading]:
        return [self.comparison] if self.comparison else []

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#endpoints", Listing).show(endpoint_rows.endpoints(snapshot, self.pulse))
        self._follow()

    @on(DataTable.RowHighlighted, "#endpoints LiveTable")
    def _follow(self) -> None:
        endpoint, snapshot = self.endpoint, self.box_app.latest
        chosen, beside = self.query_one("#chosen", Line), self.query_one("#beside", Line)
        releases = self.query_one("#releases", Listing)
        releases.display = chosen.display = endpoint is not None
        said = self.verdict()
        beside.display = said is not None
        if endpoint and snapshot:
            if self._asked != endpoint.name:
                self._asked = endpoint.name
                self.box_app.poller.wake()
            chosen.say(assemble(self.tones, *endpoint_rows.about(endpoint)))
            releases.show(endpoint_rows.releases(endpoint, snapshot, self.pulse))
            if said is not None:
                beside.say(said)
        self._detail()

    @on(DataTable.RowHighlighted, "#releases LiveTable")
    def _detail(self) -> None:
        endpoint, release, snapshot = self.endpoint, self.release, self.box_app.latest
        pane = self.query_one("#this-release")
        brief = self.query_one("#brief", Line)
        pane.display = release is not None and self.size.width >= 120
        brief.display = release is not None and not pane.display
        if endpoint is None or release is None or snapshot is None:
            return
        brief.say(assemble(self.tones, *endpoint_rows.brief(endpoint, release, snapshot)))
        self._draw_charts(endpoint, release)
        if pane.display:
            width = max(pane.size.width - 2, 40)
            lines = endpoint_rows.detail(endpoint, release, snapshot, self.pulse, width)
            self.query_one("#known", Line).say(self.lines(lines))

    def _draw_charts(self, endpoint: Endpoint, release: Release) -> None:
        """The last two minutes of the release under the cursor, where there is room for it."""
        charts, which = self.query_one("#charts", Line), (endpoint.name, release.number)
        charts.display = self.size.width >= 120 and self.size.height >= 34 and which in self.pulse.now
        if charts.display:
            name, width = f"{endpoint.name}@{release.number}", max(self.query_one("#served").size.width - 2, 40)
            drawn = [
                chart(Cell(f"{name}  {what}", "muted"), [*enumerate(values, 1 - len(values))], self.tones, width, 8)
                for what, values in (
                    ("requests a second", known(self.pulse.rates[which])),
                    ("99 % of the answers within, ms", known(self.pulse.times[which])),
                )
            ]
            charts.say(Text("\n\n").join(drawn))

    @on(DataTable.RowSelected)
    def _row_selected(self) -> None:
        self.action_open()

    def action_open(self) -> None:
        if self.endpoint:
            number = self.release.number if self.release else None
            self.app.push_screen(EndpointScreen(self.endpoint.name, number, self.pulse))
