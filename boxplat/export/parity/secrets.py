"""Secrets that people make: each of their keys is read somewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from boxplat.export.parity.model import Carried
from boxplat.export.parity.shelf import Shelf
from boxplat.export.pointers import entries, leaves, mapping, nodes, text
from boxplat.export.runbook import SECRETS

_UNREAD = "nothing of this export reads it"


def rows(secrets: Mapping[str, Sequence[str]], shelf: Shelf) -> Iterator[Carried]:
    """A row for each key of each Secret, with the first place that reads it.

    Args:
        secrets: keys by the Secret's name, as people are told to make them.
    """
    read = _read(shelf)
    for name, keys in sorted(secrets.items()):
        for key in keys:
            place = read.get((name, key)) or read.get((name, "")) or _within(shelf, name, key)
            why_not = _UNREAD if place is None and name in SECRETS else ""
            yield Carried(f"Secret {name}", key, "made by people", *(place or ("", "")), why_not=why_not)


def _within(shelf: Shelf, name: str, key: str) -> tuple[str, str] | None:
    """In a manifest that a workflow's template creates."""
    for path, document in shelf.every():
        for where, made in leaves(document):
            if where[-2:] == ("resource", "manifest") and {f"name: {name}", f"key: {key}"} <= _lines(made):
                return shelf.spot(path, where)
    return None


def _lines(made: str) -> set[str]:
    return {line.strip().removeprefix("- ").replace('"', "") for line in made.splitlines()}


def _read(shelf: Shelf) -> dict[tuple[str, str], tuple[str, str]]:
    """Where a key of a Secret is read; the key is empty where all of them are."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for path, document in shelf.every():
        for where, node in nodes(document):
            source = mapping(node, "secretKeyRef")
            if source:
                found.setdefault(
                    (text(source, "name"), text(source, "key")), shelf.spot(path, (*where, "secretKeyRef"))
                )
            for inner, entry in entries(node, "envFrom"):
                name = text(entry, "secretRef", "name")
                if name:
                    found.setdefault((name, ""), shelf.spot(path, (*where, *inner)))
            if text(node, "secret", "secretName"):
                found.setdefault((node["secret"]["secretName"], ""), shelf.spot(path, (*where, "secret")))
    return found
