"""What needs a person, and the command that mends it. Pure: what was read in, advice out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxplat.beginning import Step
from boxplat.core.model import Event, Run, RunState, Snapshot, State
from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.glyphs import Cell

_STEPS = {"done": ("✓", "muted"), "doing": ("◐", "busy"), "next": ("→", "accent"), "later": ("○", "muted")}
# Guard-rails that were broken so long ago are history.
_BREACH_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know, and the command for it, where there is one. `key` stays the same while it is about the same.

    `now` marks what a newcomer does next.
    """

    key: str
    headline: Cell
    command: Command | None = None
    now: bool = False


def attention(
    snapshot: Snapshot, steps: Sequence[Step] = (), schedules: Sequence[Mapping[str, Any]] = ()
) -> tuple[Advice, ...]:
    """What is wrong, the most urgent first; then the first steps of a newcomer, as far as there are any.

    Args:
        steps: what `Box.beginning` says.
        schedules: what `box schedule --json` lists.
    """
    found = [*_supervisor(snapshot, steps), *_services(snapshot), *_runs(snapshot), *_guards(snapshot)]
    return (*found, *_schedules(schedules), *_beginning(steps), *(() if steps else _idle(snapshot)))


def _supervisor(snapshot: Snapshot, steps: Sequence[Step]) -> Iterator[Advice]:
    if snapshot.supervisor is None and not steps:
        yield Advice("up", Cell("○ the box is not running", "warn"), commands.up())


def _services(snapshot: Snapshot) -> Iterator[Advice]:
    for service in snapshot.services:
        why = f": {service.reason}" if service.reason else ""
        logs = commands.logs(service.name)
        if service.state is State.FAILED:
            yield Advice(f"service/{service.name}", Cell(f"✗ {service.name} failed{why}", "bad"), logs)
        elif service.state is State.UNHEALTHY:
            yield Advice(f"service/{service.name}", Cell(f"▲ {service.name} is unhealthy{why}", "warn"), logs)


def _runs(snapshot: Snapshot) -> Iterator[Advice]:
    for run in _latest(snapshot):
        if run.state is RunState.FAILED:
            why = f": {run.error.strip().splitlines()[-1]}" if run.error and run.error.strip() else ""
            headline = Cell(f"✗ run {run.id} of {run.name} failed{why}", "bad")
            yield Advice(f"run/{run.id}", headline, commands.logs(str(run.id)))


def _latest(snapshot: Snapshot) -> list[Run]:
    """The newest run of each flow; an old failure that a later run made good needs nobody."""
    newest: dict[str, Run] = {}
    for run in snapshot.runs:
        newest.setdefault(run.flow, run)
    return list(newest.values())


def _guards(snapshot: Snapshot) -> Iterator[Advice]:
    """A release that broke its guard-rails was rolled back by itself; somebody should know, and once."""
    told: set[str] = set()
    for event in sorted(snapshot.events, key=lambda event: -event.id):
        old = snapshot.at - event.at > _BREACH_SECONDS
        if event.kind == "guard.breached" and event.subject not in told and not old:
            told.add(event.subject)
            yield Advice(
                f"guard/{event.subject}", Cell(_breach(event), "warn"), commands.endpoint_history(event.subject)
            )


def _breach(event: Event) -> str:
    number, guard = event.data.get("number", "?"), event.data.get("guard", "a guard-rail")
    return f"▲ {event.subject} #{number} broke its guard-rail on {guard} and was rolled back"


def _schedules(schedules: Sequence[Mapping[str, Any]]) -> Iterator[Advice]:
    for schedule in schedules:
        if problem := schedule["problem"]:
            headline = Cell(f"▲ {schedule['name']} cannot start by itself: {problem['why']}", "warn")
            yield Advice(f"schedule/{schedule['flow']}", headline, commands.schedules())


def _beginning(steps: Sequence[Step]) -> Iterator[Advice]:
    for number, step in enumerate(steps, 1):
        glyph, tone = _STEPS[step.state]
        command: Command | None = Command(step.words)
        if step.run is not None:
            command = commands.logs(str(step.run))
        elif step.state == "done":
            command = None
        under_way = f" (run {step.run})" if step.run is not None else ""
        yield Advice(
            f"step/{number}",
            Cell(f"{glyph} {number}  {step.title}{under_way}", tone),
            command,
            now=step.state in ("doing", "next"),
        )


def _idle(snapshot: Snapshot) -> Iterator[Advice]:
    """An endpoint that nobody has deployed yet, once something has run that may have made its model."""
    if any(run.state is RunState.SUCCEEDED for run in snapshot.runs):
        for endpoint in snapshot.endpoints:
            if not endpoint.releases:
                headline = Cell(f"→ endpoint {endpoint.name} has no release yet", "accent")
                yield Advice(f"deploy/{endpoint.name}", headline, commands.deploy(endpoint.name))
