"""One endpoint: what can be done with it, its comparison, and its newest predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.widgets import DataTable

from boxplat.core.errors import BoxError
from boxplat.core.model import Endpoint, Release, Snapshot
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.pulse import Pulse, PulseRead
from boxplat_tui.reading import Reading
from boxplat_tui.screens import endpoint_rows, endpoint_ways
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.screens.choose import Choice
from boxplat_tui.screens.endpoint_dialogs import DeployScreen, SplitScreen
from boxplat_tui.widgets.bars import Line, assemble
from boxplat_tui.widgets.table import Listing

if TYPE_CHECKING:
    from boxplat.releases.traffic import Return

_MOVES = ("endpoint.", "release.", "outcomes.", "guard.", "comparison.")


class EndpointActions(BoxScreen):
    """What both screens of an endpoint read, and what can be done with it."""

    MODE = "endpoints"
    CHANGES = frozenset({"split", "promote", "roll_back"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "predict", "Predict"),
        Binding("d", "deploy", "Deploy"),
        Binding("w", "split", "Split"),
        Binding("P", "promote", "All to this release", show=False),
        Binding("b", "roll_back", "Rollback"),
        Binding("l", "log", "Log of its process", show=False),
        Binding("t", "trace", "Trace", show=False),
        Binding("e", "go_model", "The model it serves", show=False),
        Binding("R", "restart", "Restart its processes", show=False),
        Binding("U", "undeploy", "Undeploy", show=False),
    ]

    def __init__(self, pulse: Pulse | None = None) -> None:
        super().__init__()
        self.pulse = pulse or Pulse()
        self._asked: str | None = None

    @property
    def endpoint(self) -> Endpoint | None:
        """The endpoint that this is about."""
        raise NotImplementedError

    @property
    def release(self) -> Release | None:
        """The release under the cursor."""
        raise NotImplementedError

    def read(self) -> None:
        endpoints, name = self.box_app.box.endpoints, self._asked
        back: Return | BoxError | None = None
        try:
            back = endpoints.before(name) if name else None
        except BoxError as error:
            back = error
        self.post_message(PulseRead(endpoints.live(), name, back))

    def on_pulse_read(self, message: PulseRead) -> None:
        first = not self.pulse.now
        self.pulse.take(message)
        # Else the snapshot that comes right after it is drawn with it.
        if first:
            self.take()

    @property
    def comparison(self) -> Reading | None:
        """The two releases beside each other, while there are two."""
        endpoint = self.endpoint
        if endpoint is None or (len(endpoint.traffic) < 2 and endpoint.shadow is None):
            return None
        return self.box_app.reading("compare", endpoint.name, every=30.0, kinds=_MOVES)

    def verdict(self) -> Text | None:
        """What the comparison says; None where nothing is compared."""
        reading = self.comparison
        if reading is None or reading.error:
            return None
        if not reading.known:
            return assemble(self.tones, Cell("comparing …", "muted"))
        lines = [line for line in str(reading.data.get("said", "")).splitlines() if line]
        verdict = str(reading.data.get("comparison", {}).get("effect", {}).get("verdict", ""))
        tone = {"better": "ok", "worse": "bad"}.get(verdict, "")
        said = [Cell(line, "muted" if number == 0 else tone) for number, line in enumerate(lines)]
        return self.lines((cell,) for cell in said)

    def subject(self) -> tuple[str, Command] | None:
        endpoint = self.endpoint
        return (endpoint.url or endpoint.name, commands.live(endpoint.name)) if endpoint else None

    def url(self) -> str | None:
        return self.endpoint.url if self.endpoint else None

    @property
    def _process(self) -> str | None:
        """The release under the cursor, as in `box logs SUBJECT`."""
        endpoint, release = self.endpoint, self.release
        return f"{endpoint.name}@{release.number}" if endpoint and release else None

    def action_predict(self) -> None:
        if self.endpoint:
            self.box_app.try_prediction(self.endpoint.name)

    def action_deploy(self) -> None:
        if self.endpoint:
            self.app.push_screen(DeployScreen(self.endpoint), self.perform)

    def action_split(self) -> None:
        endpoint, release = self.endpoint, self.release
        if endpoint is None:
            return
        if len(endpoint_ways.candidates(endpoint)) < 2:
            self.notify(f"{endpoint.name} has no second release. Make one: d, with 10 percent.", markup=False)
            return
        chosen = release.number if release else None
        self.app.push_screen(SplitScreen(endpoint, chosen, self.tones), self.perform)

    def action_promote(self) -> None:
        endpoint, release = self.endpoint, self.release
        if endpoint is None or release is None:
            return
        if endpoint.traffic.get(release.number) == 100:
            self.notify(f"Release {release.number} has all requests of {endpoint.name} already.", markup=False)
        else:
            self.box_app.perform(endpoint_ways.promote(endpoint, release.number))

    def action_roll_back(self) -> None:
        endpoint, back = self.endpoint, self.pulse.back
        if endpoint is None or self.pulse.back_of != endpoint.name or back is None:
            return
        if isinstance(back, BoxError):
            self.notify(f"{back.what}: {back.why}", markup=False, severity="warning")
        else:
            self.box_app.perform(endpoint_ways.rollback(endpoint, back))

    def action_undeploy(self) -> None:
        if self.endpoint:
            self.box_app.perform(endpoint_ways.undeploy(self.endpoint))

    def action_restart(self) -> None:
        snapshot, endpoint, release = self.box_app.latest, self.endpoint, self.release
        if snapshot is None or endpoint is None or release is None:
            return
        running = endpoint_rows.processes(snapshot).get((endpoint.name, release.number), [])
        names = [service.name for service in running]
        ways = [Choice(name, lambda _, name=name: commands.restart(name)) for name in names]  # type: ignore[misc]
        self.choose("Replace which process by a new one?", ways, f"Release {release.number} has no process now.")

    def action_log(self) -> None:
        if subject := self._process or (self.endpoint and self.endpoint.name):
            self.box_app.open_log(subject)

    def action_trace(self) -> None:
        if self._process:
            self.box_app.reveal("lineage", self._process)

    def action_go_model(self) -> None:
        if self.release and self.release.model:
            self.box_app.reveal("models", f"{self.release.model}/{self.release.model_version}")


class EndpointScreen(EndpointActions):
    """One endpoint: a release with its graphs, the comparison, and the newest predictions."""

    HELP = (
        "One endpoint, and the release that was under the cursor. n shows the next release; the comparison is that of "
        "box compare; below are the newest predictions, and enter on one traces it to its data."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "deploy", "Deploy", show=False),
        Binding("n", "next_release", "The next release", show=False),
        Binding("escape", "back", "Back", key_display="esc"),
    ]

    def __init__(self, name: str, number: int | None, pulse: Pulse) -> None:
        super().__init__(pulse)
        self._asked = name
        self._served = name
        self._number = number

    @property
    def trail(self) -> str:
        return self._served if self._number is None else f"{self._served}@{self._number}"

    @property
    def endpoint(self) -> Endpoint | None:
        snapshot = self.box_app.latest
        return next((one for one in snapshot.endpoints if one.name == self._served), None) if snapshot else None

    @property
    def release(self) -> Release | None:
        releases = self.endpoint.releases if self.endpoint else ()
        return next((one for one in releases if one.number == self._number), None)

    def body(self) -> ComposeResult:
        with Container(id="endpoint"):
            with VerticalScroll(id="this-release", can_focus=False):
                yield Line("known")
            with Vertical(id="seen"):
                yield Line("beside")
                yield Listing(endpoint_rows.COMPARED, "", "compared")
                empty = f"No prediction is logged yet. Try one: p  (box predict {self._served} '…')"
                yield Listing(endpoint_rows.PREDICTIONS, empty, "predictions")

    @property
    def _predictions(self) -> Reading:
        return self.box_app.reading("predictions", self._served, "--limit", "50", every=10.0, kinds=_MOVES)

    def readings(self) -> Sequence[Reading]:
        return [self._predictions, *([self.comparison] if self.comparison else [])]

    def show(self, snapshot: Snapshot) -> None:
        endpoint, release = self.endpoint, self.release
        known, beside = self.query_one("#known", Line), self.query_one("#beside", Line)
        if endpoint and release:
            known.say(self.lines(self._facts(endpoint, release, snapshot, max(known.size.width, 40))))
        said, compared = self.verdict(), self.query_one("#compared", Listing)
        reading = self.comparison
        beside.display = said is not None
        compared.display = reading is not None and reading.known
        if said is not None and reading is not None:
            beside.say(said)
            compared.show(endpoint_rows.compared(reading.data.get("comparison", {})))
        rows = self._predictions.data.get("predictions", ())
        listing = self.query_one("#predictions", Listing)
        listing.display = self._predictions.known
        listing.show(endpoint_rows.predictions(rows))

    def _facts(self, endpoint: Endpoint, release: Release, snapshot: Snapshot, width: int) -> list[tuple[Cell, ...]]:
        """All of the release where there is room, else the most of it."""
        if self.size.width >= 120:
            return [*endpoint_rows.detail(endpoint, release, snapshot, self.pulse, width)]
        brief = endpoint_rows.brief(endpoint, release, snapshot)
        return [brief, *endpoint_rows.graphs(endpoint, release, self.pulse, width)]

    def subject(self) -> tuple[str, Command] | None:
        key = self.query_one("#predictions", Listing).table.selected
        return (key.split("/")[0], commands.why(key.split("/")[0])) if key else super().subject()

    @on(DataTable.RowSelected, "#predictions LiveTable")
    def _row_selected(self) -> None:
        key = self.query_one("#predictions", Listing).table.selected
        if key:
            self.box_app.reveal("lineage", f"prediction/{key.split('/')[0]}")

    def action_next_release(self) -> None:
        numbers = [one.number for one in endpoint_ways.candidates(self.endpoint)] if self.endpoint else []
        if numbers:
            here = numbers.index(self._number) if self._number in numbers else -1
            self._number = numbers[(here + 1) % len(numbers)]
            self.take()
