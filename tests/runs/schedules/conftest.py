"""A project with small flow files, a clock that tests turn, and the supervisor's timetable over them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.core.config import Config, StartsConfig
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.supervisor.timetable import Timetable

FLOW = """
from metaflow import FlowSpec, Parameter, schedule, step, trigger, trigger_on_finish

{decorators}
class {name}(FlowSpec):
    day = Parameter("day", default="none")
    rows = Parameter("rows", default=1)

    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass


if __name__ == "__main__":
    {name}()
"""


class Clock:
    """Seconds since the epoch, as the test says."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Desk:
    """A project whose box runs as long as the test says; runs are queued and never started."""

    def __init__(self, root: Path, now: float) -> None:
        self.paths = Paths(root)
        self.state = StateStore.open(self.paths)
        self.clock = Clock(now)
        self.config = Config()
        self.timetable: Timetable | None = None

    def flow(self, name: str, *decorators: str) -> str:
        """Write a flow file; its path in the project."""
        path = self.paths.root / "flows" / f"{name.lower()}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FLOW.format(decorators="\n".join(decorators), name=name))
        return f"flows/{path.name}"

    def settings(self, **flows: StartsConfig) -> None:
        self.config = Config(schedules=flows)

    def up(self) -> None:
        """A supervisor starts and looks around."""
        self.timetable = Timetable(self.state, self.paths, self.config, self.clock)
        self.tick()

    def tick(self, seconds: float = 0.0) -> None:
        self.clock.now += seconds
        assert self.timetable is not None
        self.timetable.tick()

    def changed(self) -> None:
        """Files were edited, and the supervisor looks at them."""
        assert self.timetable is not None
        self.timetable.look()
        self.tick()

    def runs(self) -> list[Run]:
        """Those that were queued, oldest first."""
        return self.state.runs.all(10_000)[::-1]

    def finish(self, state: RunState = RunState.SUCCEEDED) -> None:
        """Every run that is not over ends, as its launcher would record it."""
        for run in self.state.runs.active():
            self.state.runs.update(run.id, pathspec=f"{run.name}/{1000 + run.id}")
            self.state.runs.update(run.id, event=f"run.{state}", state=state, ended=time.time())

    def told(self, kind: str) -> list[dict[str, object]]:
        return [dict(event.data) for event in self.state.events.all(limit=10_000) if event.kind == kind]


@pytest.fixture
def desk(project: Path) -> Iterator[Desk]:
    made = Desk(project, 1_772_323_200.0)  # Sunday, 1 March 2026, 00:00 UTC
    yield made
    made.state.close()
