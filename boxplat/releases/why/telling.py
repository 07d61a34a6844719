"""Entries of the record in a line of words each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxplat.core.state.chain import Entry

_Data = Mapping[str, Any]
_LONGEST = 100


def what(entry: Entry) -> str:
    """What happened."""
    words = _WORDS.get(entry.kind)
    return words(entry.data) if words else entry.kind


def because(entry: Entry) -> str:
    """Why, and on what evidence."""
    said = entry.data
    parts = [_line(said[key], 0) for key in ("reason", "why") if said.get(key)]
    if said.get("forced"):
        parts.insert(0, "FORCED")
    judged = gates(said)
    parts += [_summary(judged)] if judged else []
    found = said.get("evidence")
    plain = {key: value for key, value in found.items() if _plain(value)} if isinstance(found, Mapping) else {}
    # Of what a process said, the last line tells most.
    parts += [key if value is True else f"{key} {_line(value, -1)}" for key, value in plain.items()]
    return "; ".join(parts)


def _line(text: Any, which: int) -> str:
    """The first or the last line of a text, cut to a length that fits beside others."""
    lines = [line for line in str(text).splitlines() if line.strip()] or [""]
    return lines[which] if len(lines[which]) <= _LONGEST else f"{lines[which][: _LONGEST - 1]}…"


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != "" and value is not False


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate as the record has it; `outcome` is passed, refused or not judged."""

    name: str
    outcome: str
    words: str


def gates(said: Mapping[str, Any]) -> list[Judged]:
    """The gates in an entry's data, or in the evidence in it."""
    found = said.get("gates")
    if isinstance(found, Mapping):
        found = found.get("gates", found)
    if isinstance(found, Mapping):
        found = [{"gate": name, **one} for name, one in found.items() if isinstance(one, Mapping)]
    if not found and isinstance(said.get("evidence"), Mapping):
        return gates(said["evidence"])
    judged = [one for one in found or () if isinstance(one, Mapping) and ("passed" in one or "outcome" in one)]
    return [
        Judged(str(one.get("gate")), _outcome(one), f"{one.get('found', '')} (rule: {one.get('rule')})")
        for one in judged
    ]


def _outcome(gate: Mapping[str, Any]) -> str:
    if "passed" in gate:
        return {True: "passed", False: "refused"}.get(gate["passed"], "not judged")
    return str(gate["outcome"])


def _summary(judged: Sequence[Judged]) -> str:
    refused = [one.name for one in judged if one.outcome == "refused"]
    words = f"{sum(one.outcome == 'passed' for one in judged)} of {len(judged)} gates passed"
    return f"{words}, refused: {', '.join(refused)}" if refused else words


def weights(said: Mapping[Any, Any], shadow: Any = None) -> str:
    """`7=90 %, 8=10 %, shadow 9`."""
    parts = [f"{number}={weight} %" for number, weight in said.items()]
    return ", ".join([*parts, *([f"shadow {shadow}"] if shadow else [])]) or "nothing"


def _created(said: _Data) -> str:
    model = f" with {said['model']} version {said['model_version']}" if said.get("model") else ""
    return f"release {said.get('number')} made of {said.get('bento')}{model}"


def _traffic(said: _Data) -> str:
    before = f"; before: {weights(said['before'])}" if said.get("before") else ""
    kind = f" ({said['kind']})" if said.get("kind") not in (None, "", "deploy") else ""
    return f"live: {weights(said.get('weights', {}), said.get('shadow'))}{kind}{before}"


def _promoted(said: _Data) -> str:
    before = f", before version {said['former']}" if said.get("former") is not None else ""
    if said.get("version") is None:
        return f"{said.get('alias')} taken away{before}"
    return f"version {said.get('version')} is {said.get('alias')}{before}"


def _back(said: _Data) -> str:
    former = f", from version {said['former']}" if said.get("former") is not None else ""
    return f"{said.get('alias')} back to version {said.get('version')}{former}"


def _verdict(said: _Data) -> str:
    older, newer = said.get("releases") or ("?", "?")
    words = {"better": "is better than", "worse": "is worse than", "equal": "is as good as"}
    verdict = words.get(str(said.get("verdict")), "cannot be told from")
    return f"release {newer} {verdict} {older} on outcomes ({said.get('loss')}, level {said.get('level')})"


def _breached(said: _Data) -> str:
    limit = f", limit {said['limit']}" if said.get("limit") is not None else ""
    value = said.get("value")
    found = f"{value:.4g}" if isinstance(value, float) else value
    return f"release {said.get('number')} broke its guard-rail {said.get('guard')}: {found}{limit}"


def _begun(said: _Data) -> str:
    former = said.get("former")
    return "the record begins" + (f"; one before it ended with entry {former['number']}" if former else "")


_WORDS: dict[str, Callable[[_Data], str]] = {
    "record.begun": _begun,
    "release.created": _created,
    "release.failed": lambda said: f"release {said.get('number')} failed",
    "release.retired": lambda said: f"release {said.get('number')} retired",
    "traffic.set": _traffic,
    "rollback": _back,
    "model.promoted": _promoted,
    "model.alias": _promoted,
    "model.refused": lambda said: f"version {said.get('version')} refused as {said.get('alias')}",
    "comparison.verdict": _verdict,
    "guard.breached": _breached,
    "key.made": lambda said: f"key {said.get('name')} made",
    "key.revoked": lambda said: f"key {said.get('name')} revoked",
}
