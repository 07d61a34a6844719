"""What the record tells of an endpoint or of a model, and what was live when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from boxplat.core.config import Config
from boxplat.core.errors import not_found
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.chain import Entry
from boxplat.core.state.verification import Verdict
from boxplat.releases.why import telling
from boxplat.releases.why.periods import Period, moment
from boxplat.releases.why.sources import Sources

_MOVES = ("model.promoted", "model.alias", "rollback")


@dataclass(frozen=True, slots=True)
class Told:
    """An entry, when it happened (seconds since the epoch), and both its content and its reason in words."""

    at: float
    what: str
    because: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Live:
    """A time in which an endpoint's traffic did not change, with the model versions behind it by release number."""

    endpoint: str
    period: Period
    versions: dict[int, str]


@dataclass(frozen=True, slots=True)
class History:
    """What happened, the oldest first; what was live when; what does not fit; and the verdict on the record.

    `aliases` are those of a model, with the version behind each now.
    """

    name: str
    entries: tuple[Told, ...]
    live: tuple[Live, ...]
    aliases: Mapping[str, int]
    notes: tuple[str, ...]
    record: Verdict


def of_endpoint(state: StateStore, paths: Paths, config: Config, name: str) -> History:
    """The history of an endpoint.

    Raises:
        BoxError: no such endpoint (exit code 9).
    """
    sources = Sources(state, paths, config)
    entries = sources.of(f"endpoint/{name}")
    known = {*config.endpoints, *(one.endpoint for one in sources.releases)}
    if not entries and name not in known:
        raise not_found("endpoint", name, known, "box endpoints")
    return History(name, _told(entries), tuple(_lives(sources, name)), {}, (), sources.verdict)


def of_model(state: StateStore, paths: Paths, config: Config, name: str) -> History:
    """The history of a registered model: what was decided on it, and which endpoints served which version when.

    Raises:
        BoxError: no such model (exit code 9).
    """
    sources = Sources(state, paths, config)
    own = [one for one in sources.releases if one.model == name]
    numbers = {(f"endpoint/{one.endpoint}", one.number) for one in own}
    entries = [one for one in sources.record if one.subject == f"model/{name}" or _concerns(one, numbers)]
    registered = [one for one in sources.registry[0] if one.name == name]
    if not entries and not own and not registered:
        known = {one.name for one in sources.registry[0]} | {one.model for one in sources.releases if one.model}
        error = not_found("model", name, known, "box models list")
        if sources.registry[1]:
            error.why = f"the record and the releases know: {', '.join(sorted(known)) or 'none'}; {sources.registry[1]}"
        raise error
    endpoints = sorted({one.endpoint for one in own})
    versions = {(one.endpoint, one.number) for one in own}
    lives = [
        live
        for endpoint in endpoints
        for live in _lives(sources, endpoint)
        if any((endpoint, number) in versions for number in (*live.period.weights, live.period.shadow))
    ]
    notes = tuple(_moved_outside(sources, name))
    return History(name, _told(entries), tuple(lives), _aliases(sources, name), notes, sources.verdict)


def _concerns(entry: Entry, releases: set[tuple[str, int]]) -> bool:
    """Whether an entry of an endpoint is about one of these releases."""
    said = entry.data
    numbers = {said.get("number"), said.get("shadow")}
    for weights in (said.get("weights"), said.get("before")):
        numbers |= {int(number) for number in weights} if isinstance(weights, dict) else set()
    return any((entry.subject, number) in releases for number in numbers)


def _told(entries: Iterable[Entry]) -> tuple[Told, ...]:
    return tuple(Told(moment(one), telling.what(one), telling.because(one), one) for one in entries)


def _lives(sources: Sources, endpoint: str) -> Iterable[Live]:
    for period in sources.periods(endpoint):
        numbers = [number for number in (*period.weights, period.shadow) if number is not None]
        found = [sources.release(endpoint, number) for number in numbers]
        versions = {one.number: f"{one.model} version {one.model_version}" for one in found if one and one.model}
        yield Live(endpoint, period, versions)


def _aliases(sources: Sources, model: str) -> dict[str, int]:
    """The version behind each alias now."""
    return {alias: one.version for one in sources.registry[0] if one.name == model for alias in one.aliases}


def _moved_outside(sources: Sources, model: str) -> Iterable[str]:
    """Aliases that stand elsewhere than the record has left them; those that it never moved are no news."""
    if sources.registry[1]:
        yield f"the aliases of now are not known: {sources.registry[1]}"
        return
    moves = [one.data for one in sources.of(f"model/{model}", *_MOVES) if one.data.get("alias")]
    left = {str(said["alias"]): said.get("version") for said in moves}
    now = _aliases(sources, model)
    for alias, version in sorted(left.items()):
        if version != now.get(alias):
            where = f"version {now[alias]}" if alias in now else "no version"
            yield f"{alias} is {where}, the record has version {version}: it was moved without boxplat"
