"""The answer of `box why` as what is drawn: things, what each is in a line, and all that is known of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.model import RunState, Snapshot
from boxplat_tui.format import NONE, duration, moment, plural, size
from boxplat_tui.glyphs import Cell, run_state

# What leads away from its beginnings; all else leads back to them.
_CAME_OF_IT = frozenset({"traffic", "outcome", "decision", "registered", "went into", "wrote"})
_TIMES = frozenset({"time", "as_of", "made", "at", "started", "ended", "from", "until", "first", "last", "registered"})
# What is said of a thing beside its name, by its kind; all of it is in the details.
_BRIEF: Mapping[str, tuple[str, ...]] = {
    "prediction": ("prediction", "endpoint", "time"),
    "release": ("state", "made", "by"),
    "model version": ("aliases", "registered"),
    "run": ("flow", "state", "started"),
    "traffic": ("predictions", "failed", "shadow", "deleted"),
    "decision": ("at", "by"),
    "code": ("files_now", "flow"),
    "datasets": ("bytes",),
    "outcome": ("loss", "at"),
}
_TRACKING = 32


@dataclass(frozen=True, slots=True)
class Thing:
    """One thing of a lineage, as `boxplat.releases.why.tree.Node` has it."""

    kind: str
    name: str
    role: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    record: tuple[int, ...] = ()
    below: tuple[Thing, ...] = ()

    @property
    def ask(self) -> str:
        """How `box why` asks after it; empty where it cannot."""
        match self.kind:
            case "release" | "model version":
                return self.name
            case "run":
                return self.name if len(self.name) == _TRACKING else f"run/{self.name}"
            case "prediction":
                return f"prediction/{self.name}"
        return ""


def thing(data: Mapping[str, Any]) -> Thing:
    """A thing and all below it, out of JSON."""
    below = tuple(thing(one) for one in data.get("below", ()))
    return Thing(
        kind=str(data.get("kind", "")),
        name=str(data.get("name", "")),
        role=str(data.get("role", "")),
        facts=data.get("facts", {}),
        notes=tuple(map(str, data.get("notes", ()))),
        record=tuple(data.get("record", ())),
        below=below,
    )


def halves(centre: Thing) -> tuple[list[Thing], list[Thing]]:
    """What came of a thing, and what it was made of."""
    after = [one for one in centre.below if one.kind in _CAME_OF_IT or one.role in _CAME_OF_IT]
    return after, [one for one in centre.below if one not in after]


def count(things: Sequence[Thing]) -> int:
    """How many things these are with all below them."""
    return sum(1 + count(one.below) for one in things)


def label(one: Thing) -> list[Cell]:
    """A thing in one line: its role, what it is, and the most important of what is known of it."""
    parts = [Cell(f"{one.role}: ", "muted")] if one.role else []
    parts.append(Cell(f"{one.kind} {one.name}".strip(), "accent" if one.ask else "strong"))
    for said in _brief(one):
        parts += [Cell("  "), said]
    if one.notes:
        parts.append(Cell(f"  ▲ {one.notes[0]}", "warn"))
    return parts


def _brief(one: Thing) -> Iterator[Cell]:
    if one.kind in ("share", "shadow"):
        yield Cell(_span(one.facts), "muted")
        return
    if one.kind in ("data", "parameters", "evidence"):
        yield Cell(plural(len(one.facts), "value") if one.facts else "", "muted")
        return
    for key in _BRIEF.get(one.kind, ()):
        value = one.facts.get(key)
        if value in (None, "", [], 0) and key != "predictions":
            continue
        if one.kind == "run" and key == "state":
            yield run_state(RunState(str(value)))
        else:
            yield Cell(_said(key, value), "muted")


def _said(key: str, value: object) -> str:
    words = text(key, value)
    return f"{words} {key}" if isinstance(value, int) and not isinstance(value, bool) and key != "bytes" else words


def _span(facts: Mapping[str, Any]) -> str:
    begin, end = facts.get("from"), facts.get("until")
    if end is None or begin is None:
        return f"{moment(begin)} to now"
    return f"{moment(begin)} to {moment(end)} ({duration(end - begin)})"


def text(key: str, value: object) -> str:
    """A value as people read it."""
    if key in _TIMES and isinstance(value, int | float):
        return moment(value)
    if key == "bytes" and isinstance(value, int):
        return size(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {text('', inner)}" for name, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(text("", inner) for inner in value) or "none"
    return NONE if value is None else str(value)


def details(one: Thing) -> Iterator[tuple[str, str]]:
    """Everything that is known of a thing, as pairs of a name and a value; a table has a pair an entry."""
    for key, value in one.facts.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping) and len(value) > 1:
            yield name, ""
            yield from ((f"  {inner}", text(inner, found)) for inner, found in value.items())
        else:
            yield name, text(key, value)
    if one.record:
        yield "record", "  ".join(f"#{number}" for number in one.record)


def passing(one: Thing, passes: Callable[[str], bool]) -> Thing | None:
    """A thing without whatever below it neither passes nor leads to what does; None where nothing is left."""
    below = tuple(kept for child in one.below if (kept := passing(child, passes)))
    words = "".join(cell.text for cell in label(one))
    if not below and not passes(words):
        return None
    return Thing(one.kind, one.name, one.role, one.facts, one.notes, one.record, below)


def beginnings(snapshot: Snapshot) -> list[tuple[str, str]]:
    """What there is to ask after, and what it is: releases with traffic, the other releases, models and runs."""
    releases = [(endpoint, one) for endpoint in snapshot.endpoints for one in endpoint.releases]
    releases.sort(key=lambda pair: (pair[0].traffic.get(pair[1].number, 0) == 0, -pair[1].created))
    found = [(f"{one.endpoint}@{one.number}", f"release, {one.state}") for _, one in releases]
    models = {f"models:/{one.model}/{one.model_version}": "model version" for _, one in releases if one.model}
    runs = [(f"run/{run.id}", f"{run.name}, {run.state.value}") for run in snapshot.runs]
    return [*found, *models.items(), *runs]
