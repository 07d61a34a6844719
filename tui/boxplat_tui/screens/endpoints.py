"""The endpoints, and the releases of the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import DataTable

from boxplat.core.model import Endpoint, Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.screens import rows
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.table import Listing


class EndpointsScreen(BoxScreen):
    """Who answers predictions, and with what."""

    MODE = "endpoints"
    HELP = "Each endpoint is a stable URL that sends traffic to numbered releases. p tries a prediction."
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "predict", "Predict"),
        Binding("d", "deploy", "Deploy"),
        Binding("U", "undeploy", "Undeploy"),
        Binding("l", "log", "Log"),
    ]

    def body(self) -> ComposeResult:
        yield Listing(
            rows.ENDPOINTS,
            "No endpoint yet. Name one in boxplat.toml, then: box deploy NAME",
            "endpoints",
        )
        yield Line("chosen")
        yield Listing(rows.RELEASES, "No release yet. Make the first one: d", "releases")

    def show(self, snapshot: Snapshot) -> None:
        self.query_one("#endpoints", Listing).show(rows.endpoints(snapshot))
        self._releases()

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint under the cursor."""
        snapshot, name = self.box_app.latest, self.query_one("#endpoints", Listing).table.selected
        found = snapshot.endpoints if snapshot else ()
        return next((endpoint for endpoint in found if endpoint.name == name), None)

    @on(DataTable.RowHighlighted, "#endpoints LiveTable")
    def _releases(self) -> None:
        endpoint, snapshot = self.endpoint, self.box_app.latest
        releases = self.query_one("#releases", Listing)
        releases.display = endpoint is not None
        if endpoint and snapshot:
            said = [Cell("releases of ", "muted"), Cell(endpoint.name, "strong")]
            self.query_one("#chosen", Line).say(assemble(self.tones, *said))
            releases.show(rows.releases(endpoint, snapshot.at))

    @on(DataTable.RowSelected, "#endpoints LiveTable")
    def _row_selected(self) -> None:
        if self.check_action("predict", ()):
            self.action_predict()

    def subject(self) -> tuple[str, Command] | None:
        endpoint = self.endpoint
        return (endpoint.url or endpoint.name, commands.endpoints()) if endpoint else None

    def action_predict(self) -> None:
        if self.endpoint:
            self.box_app.try_prediction(self.endpoint.name)

    def action_deploy(self) -> None:
        if self.endpoint:
            self.box_app.perform(commands.deploy(self.endpoint.name))

    def action_undeploy(self) -> None:
        if self.endpoint:
            self.box_app.perform(commands.undeploy(self.endpoint.name))

    def action_log(self) -> None:
        if self.endpoint:
            self.box_app.open_log(self.endpoint.name)
