"""The registered models: their versions, what is known of each, and what was live when."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.widgets import DataTable

from boxplat.core.model import Snapshot
from boxplat.core.registry import Standing
from boxplat_tui import flows
from boxplat_tui.screens import model_rows, model_times
from boxplat_tui.screens.version import Detail, OneVersionScreen, VersionScreen
from boxplat_tui.widgets.bars import Line
from boxplat_tui.widgets.table import Listing, LiveTable


class ModelsScreen(VersionScreen):
    """Every version of every registered model."""

    HELP = (
        "Versions of the registered models, with the gates that judged them and where they serve. Enter shows one in "
        "full; space marks those to compare metrics with; p judges and promotes; t traces it to its data."
    )

    def __init__(self) -> None:
        super().__init__()
        self._drawn: object = None

    def body(self) -> ComposeResult:
        flow = next((one for one in flows.flow_files(self.box_app.box.root) if "train" in one), "FLOW")
        empty = f"No model is registered yet. A training flow registers one: box run {flow} --wait  (2, then r)"
        with Container(id="models"):
            with Vertical(id="registry"):
                yield Listing(model_rows.VERSIONS, empty, "versions", marks=True)
                yield Line("chart")
                yield Listing(model_times.PERIODS, "It was never live. Deploy a version: d", "periods")
            yield Detail(id="version")

    @property
    def chosen(self) -> str | None:
        return self.query_one("#versions", Listing).table.selected if self._composed else None

    @property
    def marked(self) -> list[Standing]:
        keys = self.query_one("#versions", Listing).table.marked
        return [self.known[key][1] for key in keys if key in self.known]

    def show(self, snapshot: Snapshot) -> None:
        # A thousand rows need not be made again each second for the sake of their age.
        drawn = (self.models, snapshot.at // 20)
        if drawn != self._drawn:
            self._drawn = drawn
            self.query_one("#versions", Listing).show(model_rows.versions(self.models, snapshot.at))
        self._follow()

    @on(DataTable.RowHighlighted, "#versions LiveTable")
    @on(LiveTable.Marked)
    def _follow(self) -> None:
        snapshot, found = self.box_app.latest, self.found
        if snapshot is None:
            return
        wide = self.size.width >= 120
        self.show_detail(snapshot, with_chart=not wide)
        chart, listing = self.query_one("#chart", Line), self.query_one("#periods", Listing)
        known = wide and found is not None and self.history is not None and self.history.known
        chart.display = listing.display = known
        if known and found is not None:
            periods = self.periods()
            chart.say(self.lines(model_times.chart(periods, found[0], snapshot.at, chart.size.width)))
            listing.show(model_times.rows(periods, found[0], snapshot.at))

    @on(DataTable.RowSelected, "#versions LiveTable")
    def _row_selected(self) -> None:
        if self.chosen:
            self.app.push_screen(OneVersionScreen(self.chosen, self.models))

    @on(DataTable.RowSelected, "#periods LiveTable")
    def _period_selected(self) -> None:
        release = (self.query_one("#periods", Listing).table.selected or "").rpartition("/")[0]
        if release and not release.endswith("@"):
            self.box_app.reveal("lineage", release)
