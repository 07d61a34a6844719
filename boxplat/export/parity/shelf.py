"""The documents of an export by kind and name, and rows that point into them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.model import Document
from boxplat.export.parity.model import Carried
from boxplat.export.pointers import Pointer, at, entries, text, written

# A row about an option that is long says enough with its beginning.
_LONGEST = 120


class Shelf:
    """Documents by the file that they are in.

    Args:
        documents: by path relative to the export.
    """

    def __init__(self, documents: Mapping[str, Document]) -> None:
        self._documents = documents
        self._files = {(text(one, "kind"), text(one, "metadata", "name")): path for path, one in documents.items()}

    def document(self, kind: str, name: str) -> Document | None:
        """The document of this kind and name."""
        path = self._files.get((kind, name))
        return None if path is None else self._documents[path]

    def of_kind(self, kind: str) -> Iterator[tuple[str, Document]]:
        """All documents of a kind, by name."""
        for (one, name), path in self._files.items():
            if one == kind:
                yield name, self._documents[path]

    def place(self, kind: str, name: str, pointer: Pointer) -> tuple[str, str] | None:
        """The path to what a document has, and that in short; None where there is nothing."""
        path = self._files.get((kind, name))
        if path is None:
            return None
        return None if at(self._documents[path], *pointer) is None else self.spot(path, pointer)

    def spot(self, path: str, pointer: Pointer) -> tuple[str, str]:
        """The path to a place in a file, and what is there in short."""
        return f"{path}#{written(pointer)}", shown(at(self._documents[path], *pointer))

    def every(self) -> Iterator[tuple[str, Document]]:
        """All documents by their files."""
        yield from self._documents.items()

    def row(self, of: str, what: str, value: Any, *places: tuple[str, str, Pointer], why_not: str = "") -> Carried:
        """A row that points to the first of some places (kind, name, pointer) that is there."""
        for place in places:
            there = self.place(*place)
            if there is not None:
                return Carried(of, what, shown(value), *there)
        return Carried(of, what, shown(value), why_not=why_not)


def shown(value: Any) -> str:
    """A value in one short line."""
    line = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    line = " ".join(line.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def named(document: Mapping[str, Any] | None, name: str, *path: str | int) -> Pointer | None:
    """Where the list at a path has the entry of this name."""
    return next((where for where, entry in entries(document, *path) if entry.get("name") == name), None)
