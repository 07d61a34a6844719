"""Entries of the record in a line of words each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from boxplat.core.state.chain import Entry

_Data = Mapping[str, Any]


def what(entry: Entry) -> str:
    """What happened."""
    words = _WORDS.get(entry.kind)
    return words(entry.data) if words else entry.kind


def because(entry: Entry) -> str:
    """Why, and on what evidence."""
    said = entry.data
    parts = [str(said[key]) for key in ("reason", "why") if said.get(key)]
    if said.get("forced"):
        parts.insert(0, "FORCED")
    parts += [words for key in ("gates", "evidence") if (words := evidence(said.get(key)))]
    return "; ".join(parts)


def evidence(found: Any) -> str:
    """Evidence in few words: how many gates passed, and the plain values."""
    said = found if isinstance(found, Mapping) else {"gates": found}
    plain = {key: value for key, value in said.items() if isinstance(value, str | int | float) and value != ""}
    parts = [_summary(gates(said))] if gates(said) else []
    return ", ".join([*parts, *(f"{key} {value}" for key, value in plain.items())])


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate as the record has it; `outcome` is passed, refused or not judged."""

    name: str
    outcome: str
    words: str


def gates(said: Mapping[str, Any]) -> list[Judged]:
    """The gates in an entry's data, or in the evidence in it."""
    found = said.get("gates")
    if isinstance(found, Mapping) and isinstance(found.get("gates"), Mapping):
        found = found["gates"]
    if not found and isinstance(said.get("evidence"), Mapping):
        return gates(said["evidence"])
    if not isinstance(found, Mapping):
        return []
    judged = [(name, one) for name, one in found.items() if isinstance(one, Mapping) and "outcome" in one]
    return [
        Judged(name, str(one["outcome"]), f"{one.get('found', '')} (rule: {one.get('rule')})") for name, one in judged
    ]


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
    return f"version {said.get('version')} is {said.get('alias')}{before}"


def _verdict(said: _Data) -> str:
    return f"comparison: {said.get('verdict')}" + (f" ({said['method']})" if said.get("method") else "")


def _breached(said: _Data) -> str:
    limit = f" over {said['limit']}" if said.get("limit") is not None else ""
    return f"guard {said.get('guard')} of release {said.get('number')}: {said.get('value')}{limit}"


def _begun(said: _Data) -> str:
    former = said.get("former")
    return "the record begins" + (f"; one before it ended with entry {former['number']}" if former else "")


_WORDS: dict[str, Callable[[_Data], str]] = {
    "record.begun": _begun,
    "release.created": _created,
    "release.failed": lambda said: f"release {said.get('number')} failed",
    "release.retired": lambda said: f"release {said.get('number')} retired",
    "traffic.set": _traffic,
    "rollback": lambda said: f"rolled back to {said.get('to')}",
    "model.promoted": _promoted,
    "model.alias": _promoted,
    "model.refused": lambda said: f"version {said.get('version')} refused as {said.get('alias')}",
    "comparison.verdict": _verdict,
    "guard.breached": _breached,
    "key.made": lambda said: f"key {said.get('name')} made",
    "key.revoked": lambda said: f"key {said.get('name')} revoked",
}
