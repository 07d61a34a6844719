"""The dashboard itself: modes, theme, keys, and starting `box` commands. It makes no queries of its own."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, cast

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.events import Event, InputEvent
from textual.filter import LineFilter
from textual.screen import Screen

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, Snapshot
from boxplat_tui import commands, flows, process, terminal
from boxplat_tui.commands import Command
from boxplat_tui.garbage import Collection
from boxplat_tui.glyphs import AsciiFilter, SafeFilter
from boxplat_tui.jobs import Job
from boxplat_tui.lines import clean, without_controls
from boxplat_tui.palette import BoxCommands
from boxplat_tui.reading import Reading
from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.screens.dialogs import ConfirmScreen, FlowScreen, HelpScreen, JobScreen, PredictScreen
from boxplat_tui.snapshot import STALE_SECONDS, Box, GpuHistory, Poller, SnapshotFailed, SnapshotTaken
from boxplat_tui.theme import CONTRAST, DARK, LIGHT, tones
from boxplat_tui.widgets.bars import SCREENS

MOST_READINGS = 64
LARGEST_OUTPUT = 16 * 2**20


def screen_of(mode: str) -> Screen[Any]:
    """A new first screen of a mode; its module is loaded now: all of them would be a fifth of the start."""
    module = import_module(f"boxplat_tui.screens.{mode}")
    return cast("Screen[Any]", getattr(module, f"{mode.title()}Screen")())


class BoxApp(App[str]):
    """Eight screens on one box.

    Args:
        box: what to read; never called on the event loop.
        ascii: draw with ASCII only.
        readonly: leave out whatever changes something.
        clock: seconds since the epoch; tests freeze it.
    """

    TITLE = "boxplat"
    CSS_PATH = Path(__file__).with_name("boxplat.tcss")
    DEFAULT_MODE = "overview"
    COMMANDS = App.COMMANDS | {BoxCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 (Textual declares it so)
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        mode: partial(screen_of, mode) for mode, _ in SCREENS
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(digit), f"go('{mode}')", f"Go to {mode}", show=False) for digit, mode in enumerate(MODES, 1)),
        Binding("ctrl+p,colon", "command_palette", "Commands", show=False),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("question_mark,f1", "help", "Help", key_display="?"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(
        self,
        box: Box,
        *,
        ascii: bool = False,  # noqa: A002
        readonly: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        for theme in (DARK, LIGHT, CONTRAST):
            self.register_theme(theme)
        self.theme = DARK.name
        self.box = box
        self.readonly = readonly
        self.latest: Snapshot | None = None
        self.failure: Exception | None = None
        self.history = GpuHistory()
        self.poller = Poller(box, self.post_message)
        self.tones = tones(self.get_css_variables(), plain=self.no_color)
        self.first_flow = flows.first_flow(box.root)
        self._clock = clock
        self._started = clock()
        self._filters_of_ours = (SafeFilter(), AsciiFilter()) if ascii else (SafeFilter(),)
        self._typed: dict[str, str] = {}
        self._readings: dict[tuple[str, ...], Reading] = {}
        self._one_at_a_time = asyncio.Lock()
        self._garbage = Collection()

    def get_line_filters(self) -> Sequence[LineFilter]:
        return [*super().get_line_filters(), *self._filters_of_ours]

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, self._retone)
        self.set_interval(1.0, self._tick)
        if not gc.isenabled():
            self.set_timer(2.0, self._garbage.begin)
            self.set_interval(60.0, self._garbage.in_a_pause)
        self.poller.start()

    def on_unmount(self) -> None:
        self.poller.stop()

    async def on_event(self, event: Event) -> None:
        if isinstance(event, InputEvent):
            self._garbage.touched()
        await super().on_event(event)

    def _retone(self, _: object) -> None:
        self.tones = tones(self.get_css_variables(), plain=self.no_color)
        for screen in self.screen_stack:
            if isinstance(screen, BoxScreen):
                screen.retone()

    # What is shown.

    @property
    def front(self) -> BoxScreen | None:
        """The full screen in sight, whatever dialog is over it."""
        return next((screen for screen in reversed(self.screen_stack) if isinstance(screen, BoxScreen)), None)

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock()

    @property
    def age(self) -> float:
        """Seconds since the box was read, or since the start where it never was."""
        return self.now - (self.latest.at if self.latest else self._started)

    @property
    def stale(self) -> bool:
        return self.age > STALE_SECONDS

    def on_snapshot_taken(self, message: SnapshotTaken) -> None:
        self.latest, self.failure = message.snapshot, None
        self.history.add(message.snapshot)
        for reading in self._readings.values():
            reading.hear(message.snapshot)
        if self.front:
            self.front.take()

    def on_snapshot_failed(self, message: SnapshotFailed) -> None:
        self.failure = message.error
        self._tick()

    def _tick(self) -> None:
        if self.front:
            self.front.tick()

    def find_run(self, run_id: int) -> Run | None:
        """A run of the latest snapshot."""
        return next((run for run in self.latest.runs if run.id == run_id), None) if self.latest else None

    def subject_of(self, event_id: int) -> str | None:
        """What an event is about, as in `box logs SUBJECT`: `run/12` is 12."""
        events = self.latest.events if self.latest else ()
        found = next((event.subject for event in events if event.id == event_id), None)
        return found.removeprefix("run/") if found else None

    def log_subjects(self) -> list[str]:
        """Everything that has a log: the services, then the newest runs."""
        if self.latest is None:
            return []
        return [service.name for service in self.latest.services] + [str(run.id) for run in self.latest.runs[:20]]

    # What is too heavy to read here.

    def reading(self, *words: str, every: float = 15.0, kinds: Sequence[str] = ()) -> Reading:
        """What `box WORDS --json` prints; the same object for the same words, with whatever is known by now."""
        found = self._readings.pop(words, None) or Reading(words, every, kinds)
        self._readings[words] = found
        while len(self._readings) > MOST_READINGS:
            del self._readings[next(iter(self._readings))]
        return found

    def keep_fresh(self, reading: Reading) -> None:
        """Read again where it is due, off the event loop and after whatever is being read already."""
        if reading.due(time.monotonic()):
            reading.running = True
            self.run_worker(self._read(reading), group="readings")

    async def _read(self, reading: Reading) -> None:
        async with self._one_at_a_time:
            await reading.read(self.output, self._clock)
        if self.front:
            self.front.take()

    async def output(self, command: Command) -> tuple[int, bytes, bytes]:
        """Exit status, standard output and standard error of a command that only looks."""
        return await process.output(command.argv(str(self.box.root)), str(self.box.root), LARGEST_OUTPUT)

    def refresh_now(self, readings: Iterable[Reading]) -> None:
        """Read the box and `readings` again, whatever their age."""
        for reading in readings:
            reading.old()
            self.keep_fresh(reading)
        self.poller.wake()

    # Going about.

    def action_go(self, mode: str) -> None:
        if isinstance(self.screen, CommandPalette):
            self.pop_screen()
        if mode != self.current_mode:
            self.switch_mode(mode)
            return
        while len(self.screen_stack) > 1:
            self.pop_screen()

    def reveal(self, mode: str, key: str) -> None:
        """Go to a screen and put its cursor on what `key` names, as soon as that is there."""
        self.action_go(mode)
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if self.front:
            self.front.want(key)

    def visit(self, subject: str) -> None:
        """Go to a run, an endpoint, or the log of a service."""
        if subject.isdecimal():
            from boxplat_tui.screens.run import RunScreen

            self.push_screen(RunScreen(int(subject)))
        elif self.latest and any(endpoint.name == subject for endpoint in self.latest.endpoints):
            self.reveal("endpoints", subject)
        else:
            self.open_log(subject)

    def open_log(self, subject: str) -> None:
        """A log on a whole screen."""
        from boxplat_tui.screens.logs import LogScreen

        self.push_screen(LogScreen(subject))

    def action_filter(self) -> None:
        if self.front and self.front is self.screen:
            self.front.open_filter()

    def action_help(self) -> None:
        if self.front is None or isinstance(self.screen, HelpScreen):
            return
        keys = {self.get_key_display(found): found.description for found in reversed(self.front.keys())}
        everywhere = [
            ("1 to 8", "Screens"),
            ("tab", "Next table"),
            ("/", "Filter"),
            (": ^p", "Commands"),
            ("q", "Quit"),
        ]
        self.push_screen(HelpScreen(self.front.HELP, [*reversed(keys.items()), *everywhere]))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        yield SystemCommand("Theme", "change the colours", self.action_change_theme)
        yield SystemCommand(
            "Screenshot", "save this screen as SVG", lambda: self.set_timer(0.1, self.deliver_screenshot)
        )
        yield SystemCommand("Help", "the keys of this screen", self.action_help)
        yield SystemCommand("Quit", "leave the dashboard; the box runs on", self.action_quit)

    def copy(self, text: str) -> None:
        """Put a text on the terminal's clipboard, and say so. What a shell or terminal would obey is left out."""
        text = without_controls(text)
        self.copy_to_clipboard(text)
        self.notify(clean(text, 200), title="Copied", markup=False, timeout=3)

    def open_address(self, address: str) -> None:
        """Show a web address in a browser where there is a display, else put it on the clipboard."""
        if not address.startswith(("http://", "https://")):
            self.notify(f"This is no web address: {clean(address, 200)}", severity="warning", markup=False)
        elif self.is_web or sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            self.open_url(address)
        else:
            # A browser of the terminal would draw over the dashboard.
            self.copy(address)

    # Doing.

    def perform(self, command: Command) -> None:
        """Run a command; ask first where it has an effect that one may regret."""
        if self.readonly:
            return
        if command.effect:
            self.push_screen(ConfirmScreen(command), lambda yes: self._start(command) if yes else None)
        else:
            self._start(command)

    def _start(self, command: Command) -> None:
        job = Job(command, str(self.box.root))
        screen = JobScreen(job)

        def changed(line: str | None) -> None:
            if line is None:
                self._ended(job, screen)
            elif screen.is_mounted:
                screen.add(line)

        job.changed = changed
        self.push_screen(screen)
        job.start()

    def _ended(self, job: Job, screen: JobScreen) -> None:
        for reading in self._readings.values():
            reading.old()
        self.poller.wake()
        if self.screen is screen:
            if not job.succeeded or job.command.keep:
                screen.refresh_outcome()
                if job.succeeded:
                    screen.read_from_the_top()
                return
            screen.dismiss()
        said = next((line for line in reversed(job.lines) if " " in line.strip()), job.outcome())
        self.notify(
            said, title=f"$ {job.command.text}", severity="information" if job.succeeded else "error", markup=False
        )

    def choose_flow(self, again: Run | None = None) -> None:
        """Ask which flow to run with which parameters, and run it."""
        runs = self.latest.runs if self.latest else ()
        self.push_screen(FlowScreen(self.box.root, again, runs), self._perform_chosen)

    def _perform_chosen(self, command: Command | None) -> None:
        if command is not None:
            self.perform(command)

    def cancel(self, run: Run) -> None:
        """End a run, if it is not over."""
        if run.state.over:
            self.notify(f"Run {run.id} is over: it {run.state.value}.", markup=False)
        else:
            self.perform(commands.cancel(run.id, run.name))

    def _example(self) -> str:
        """The request that the project's flows left as an example, or an empty one."""
        found = sorted((self.box.root / ".box" / "data").glob("*request*.json"))
        return f"@{found[0].relative_to(self.box.root)}" if found else "{}"

    def try_prediction(self, endpoint: str) -> None:
        """Ask for the input of a prediction, and send it."""

        def send(command: Command | None) -> None:
            if command:
                self._typed[endpoint] = command.words[-1]
                self.perform(command)

        self.push_screen(PredictScreen(endpoint, self._typed.get(endpoint) or self._example(), self.box.root), send)


def run(box: Box, *, ascii: bool = False, readonly: bool = False, once: bool = False) -> None:  # noqa: A002
    """Show the dashboard until it is left, or with `once` print one frame as text.

    Raises:
        BoxError: there is no terminal (exit code 2), or `once` could not read the box.
    """
    plain = ascii or terminal.ascii_only()
    app = BoxApp(box, ascii=plain, readonly=readonly)
    if once:
        from boxplat_tui.frame import frame

        size = shutil.get_terminal_size((100, 30))
        print(frame(app, (size.columns, size.lines)))
    elif not terminal.usable():
        raise BoxError(
            "the dashboard needs a terminal",
            why="standard input, output or error is not one",
            fix="box tui --once prints one frame as text, box status the facts",
            code=ExitCode.USAGE,
        )
    else:
        terminal.end_with_server()
        # A reading that computes lets go of the interpreter sooner than Python's 5 ms: a key passes three threads.
        sys.setswitchinterval(0.001)
        app.run()
        if app.return_code:
            raise BoxError(
                "the dashboard came to an error of its own", why="it stands above; the box runs on", fix="box tui"
            )
