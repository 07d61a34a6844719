"""One version of a model: what is known of it, and what can be done with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.message import Message

from boxplat.core.errors import BoxError
from boxplat.core.model import Snapshot
from boxplat.core.registry import Registered, Standing
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean
from boxplat_tui.reading import Reading
from boxplat_tui.screens import model_rows, model_times, model_ways
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line

_KINDS = ("model.", "release.", "endpoint.", "traffic.", "rollback", "models.")


class ModelsRead(Message):
    """The registered models, or why they could not be read. Posted from the reading thread."""

    def __init__(self, models: tuple[Registered, ...], error: BoxError | None) -> None:
        super().__init__()
        self.models = models
        self.error = error

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, ModelsRead)


class Detail(VerticalScroll, can_focus=True):
    """All that is known of one version, scrolled with the keys of a pager."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Next line", show=False),
        Binding("k", "scroll_up", "Previous line", show=False),
        Binding("g", "scroll_home", "First line", show=False),
        Binding("G", "scroll_end", "Last line", show=False),
    ]

    def compose(self) -> ComposeResult:
        yield Line("known")


class VersionScreen(BoxScreen):
    """One version at a time: what is known of it, and what can be done with it."""

    MODE = "models"
    CHANGES = frozenset({"promote", "roll_back", "measure"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "promote", "Promote"),
        Binding("b", "roll_back", "Rollback"),
        Binding("d", "deploy", "Deploy"),
        Binding("m", "measure", "Measure back ends", show=False),
        Binding("l", "log", "Log of its run", show=False),
        Binding("u", "go_run", "The run that made it", show=False),
        Binding("e", "go_endpoint", "The endpoint that serves it", show=False),
        Binding("t", "trace", "Trace", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.models: tuple[Registered, ...] = ()
        self.known: dict[str, tuple[Registered, Standing]] = {}
        self._error: BoxError | None = None
        self._told: object = None

    @property
    def chosen(self) -> str | None:
        """Which version this is about, as `delay/3`."""
        raise NotImplementedError

    def read(self) -> None:
        try:
            found, error = self.box_app.box.models.status(), None
        except BoxError as problem:
            found, error = (), problem
        # The box gives the same object until something changes.
        if error is not None or found is not self._told:
            self._told = found
            self.post_message(ModelsRead(found, error))

    def on_models_read(self, message: ModelsRead) -> None:
        self._error = message.error
        if message.error is None:
            self.know(message.models)
        self.take()

    def know(self, models: tuple[Registered, ...]) -> None:
        """Go by these models from now on."""
        self.models = models
        self.known = {
            model_rows.key(model.name, one.version.version): (model, one) for model in models for one in model.versions
        }

    def _warning(self) -> Iterator[Cell]:
        yield from super()._warning()
        if self._error is not None:
            yield Cell(f"▲ {clean(self._error.what)}", "warn")
            yield Cell(f"  why  {clean(self._error.why)}")
            yield Cell(f"  fix  {clean(self._error.fix)}", "accent")

    @property
    def found(self) -> tuple[Registered, Standing] | None:
        """The model and the version that this is about."""
        return self.known.get(self.chosen or "")

    @property
    def marked(self) -> list[Standing]:
        """The versions to compare it with."""
        return []

    @property
    def history(self) -> Reading | None:
        """What the record tells of the model, which checks the whole record: a process of its own."""
        found = self.found
        words = ("models", "history", found[0].name) if found else ()
        return self.box_app.reading(*words, every=60.0, kinds=_KINDS) if words else None

    def readings(self) -> Sequence[Reading]:
        return [self.history] if self.history else []

    def periods(self) -> list[model_times.Period]:
        """What was live when, as far as it was read."""
        return model_times.periods(self.history.data.get("history", {})) if self.history else []

    def subject(self) -> tuple[str, Command] | None:
        found = self.found
        if found is None:
            return None
        model, one = found
        return f"models:/{model.name}/{one.version.version}", commands.models_show(model.name)

    def url(self) -> str | None:
        found = self.found
        return f"{found[0].url}/versions/{found[1].version.version}" if found and found[0].url else None

    def show_detail(self, snapshot: Snapshot, with_chart: bool) -> None:
        """Fill the pane with what is known of the version."""
        pane, found = self.query_one(Detail), self.found
        pane.display = found is not None
        if found is None:
            return
        width = max(pane.scrollable_content_region.width - 2, 30)
        periods = self.periods() if with_chart else []
        live = list(model_times.chart(periods, found[0], snapshot.at, width))
        lines = model_rows.detail(*found, snapshot.at, width, self.marked, live)
        pane.query_one("#known", Line).say(self.lines(lines))

    def action_promote(self) -> None:
        if self.found:
            model, one = self.found
            title = f"Promote {model.name} v{one.version.version}"
            self.choose(title, model_ways.promotions(model, one))

    def action_roll_back(self) -> None:
        if self.found:
            model = self.found[0]
            none = f"No alias of {model.name} has been moved yet, so none can go back."
            self.choose(f"Roll an alias of {model.name} back", model_ways.rollbacks(model), none)

    def action_deploy(self) -> None:
        if self.found:
            model, one = self.found
            none = f"No endpoint is declared with model {model.name}: [endpoints.NAME] in boxplat.toml"
            self.choose(f"Deploy {model.name} v{one.version.version}", model_ways.deploys(model, one), none)

    def action_measure(self) -> None:
        if self.found:
            model, one = self.found
            self.box_app.perform(commands.calibrate(model.name, one.version.version))

    def action_log(self) -> None:
        if self.found and self.found[1].run is not None:
            self.box_app.open_log(str(self.found[1].run))

    def action_go_run(self) -> None:
        if self.found and self.found[1].run is not None:
            self.box_app.visit(str(self.found[1].run))

    def action_go_endpoint(self) -> None:
        if self.found:
            model, one = self.found
            names = [*(place.endpoint for place in one.serving), *model.endpoints]
            if names:
                self.box_app.reveal("endpoints", names[0])

    def action_trace(self) -> None:
        if found := self.subject():
            self.box_app.reveal("lineage", found[0])


class OneVersionScreen(VersionScreen):
    """One version on a whole screen."""

    HELP = "All that is known of one version. j and k scroll; p promotes it, d deploys it, t traces it; esc goes back."
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "back", "Back", key_display="esc")]

    def __init__(self, key: str, models: tuple[Registered, ...]) -> None:
        super().__init__()
        self._key = key
        self.know(models)

    @property
    def chosen(self) -> str | None:
        return self._key

    @property
    def trail(self) -> str:
        name, _, number = self._key.rpartition("/")
        return f"{name} v{number}"

    def body(self) -> ComposeResult:
        yield Detail(id="version")

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one(Detail).focus()

    def show(self, snapshot: Snapshot) -> None:
        self.show_detail(snapshot, with_chart=True)
