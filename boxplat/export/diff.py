"""What an export has that an earlier one has not: document by document, and field by field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.export.check.folder import Folder, read
from boxplat.export.check.model import Manifest
from boxplat.export.model import LOCK
from boxplat.export.parity import TABLE
from boxplat.export.parity.shelf import shown
from boxplat.export.pointers import Pointer, text, written

# Told by the manifests that they are made of or say.
_FOLDERS = ("base/", "components/", "overlays/", "rendered/")
_OVERLAY = ("metadata", "labels", "boxplat/overlay")


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """A field of a document (`of` is `Kind/name`), a whole document (`where` is empty), or a file.

    Entries of a list that have names are told apart by them. Of what is new `before` is empty, of what is gone `after`.
    """

    of: str
    where: str
    before: str
    after: str
    overlays: tuple[str, ...] = ()


def difference(old: Path, new: Path) -> tuple[Change, ...]:
    """What changed between two exports; a change that several overlays share is told once.

    Raises:
        BoxError: one of the folders is no export (exit code 9), or its lock cannot be read (4).
    """
    before, after = read(old), read(new)
    found: dict[tuple[str, str, str, str], list[str]] = {}
    for overlay in sorted(before.overlays.keys() & after.overlays.keys()):
        for change in _documents(_named(before, overlay), _named(after, overlay)):
            found.setdefault(change, []).append(overlay)
    changes = [Change(*change, tuple(overlays)) for change, overlays in found.items()]
    for overlay in sorted(before.overlays.keys() ^ after.overlays.keys()):
        there = overlay in before.overlays
        changes.append(Change(f"overlay {overlay}", "", "there" if there else "", "" if there else "there", (overlay,)))
    return tuple(sorted([*changes, *_files(before, after)]))


def _named(folder: Folder, overlay: str) -> dict[tuple[str, str, str, str], Manifest]:
    return {
        (one.group, one.kind, text(one.document, "metadata", "namespace"), one.name): one
        for one in folder.overlays[overlay].all
    }


def _documents(old: Mapping[Any, Manifest], new: Mapping[Any, Manifest]) -> Iterator[tuple[str, str, str, str]]:
    for key in [*old, *(key for key in new if key not in old)]:
        if key not in new:
            yield old[key].title, "", "there", ""
        elif key not in old:
            yield new[key].title, "", "", "there"
        else:
            before, after = (dict(_leaves(one.document)) for one in (old[key], new[key]))
            for where in [*before, *(where for where in after if where not in before)]:
                if before.get(where) != after.get(where):
                    yield old[key].title, written(where), _one(before, where), _one(after, where)


def _one(leaves: Mapping[Pointer, Any], where: Pointer) -> str:
    return shown(leaves[where]) if where in leaves else ""


def _leaves(value: Any, path: Pointer = ()) -> Iterator[tuple[Pointer, Any]]:
    """The leaves of a document; an entry of a list by its name, if all have one of their own."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    elif isinstance(value, list) and value:
        names = [text(item, "name") for item in value]
        told = all(names) and len(set(names)) == len(names)
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, names[index] if told else index))
    elif path != _OVERLAY:
        yield path, value


def _files(old: Folder, new: Folder) -> Iterator[Change]:
    for path in sorted(old.files.keys() | new.files.keys()):
        if path.startswith(_FOLDERS) or path in (LOCK, TABLE, "PARITY.md"):
            continue
        before, after = old.files.get(path), new.files.get(path)
        if before != after:
            yield Change(path, "", _size(before), _size(after))


def _size(content: bytes | None) -> str:
    return "" if content is None else f"{len(content)} bytes"
