"""Which files of a project go to the bucket, and under which names."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from boxplat.core.paths import Paths

FLOWS, ARTIFACTS, DATA = "flows", "artifacts", "data"
_META = "_meta"
# How Metaflow names artifacts: FlowName/data/ab/abc….
_BY_CONTENT = re.compile(r"[^/]+/data/[0-9a-f]{2}/([0-9a-f]{40})")


@dataclass(frozen=True, slots=True)
class Entry:
    """A file and the key of its object, relative to the storage's prefix.

    `attributes` are Metaflow's of the object; `sha1` is that of the content, of an object that is named by it.
    """

    path: Path
    key: str
    attributes: str = ""
    sha1: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """A folder that is copied. `left` are the paths in it that are not files of it."""

    name: str
    prefix: str
    entries: tuple[Entry, ...]
    bytes: int
    left: tuple[str, ...] = ()


def trees(paths: Paths) -> tuple[Files, ...]:
    """What MLflow, Metaflow and the flows keep in files, as it is now.

    The layouts are the same on both sides: `mlflow-artifacts:/1/abc` is `1/abc` below the server's root, and Metaflow's
    local folder has the names of its S3 root.
    """
    return (
        _files(ARTIFACTS, "mlflow", paths.mlflow / "artifacts"),
        _flows(paths.metaflow / ".metaflow"),
        _files(DATA, "data", paths.data),
    )


def _files(name: str, prefix: str, folder: Path) -> Files:
    found, left = _walk(folder)
    # A lock is a file for the processes of one machine.
    kept = [path for path in found if path.name != ".lock"]
    entries = tuple(Entry(path, f"{prefix}/{path.relative_to(folder).as_posix()}") for path in kept)
    return Files(name, prefix, entries, _bytes(kept), tuple(left))


def _flows(folder: Path) -> Files:
    """Metaflow's local store writes what belongs to an object into a file beside it, that of S3 into the object."""
    found, left = _walk(folder)
    present = set(found)
    beside = {
        path for path in found if path.name.endswith(_META) and path.with_name(path.name[: -len(_META)]) in present
    }
    kept = [path for path in found if path not in beside]
    entries = []
    for path in kept:
        name = path.relative_to(folder).as_posix()
        named = _BY_CONTENT.fullmatch(name)
        entries.append(Entry(path, f"metaflow/{name}", _attributes(path, beside), named[1] if named else ""))
    return Files(FLOWS, "metaflow", tuple(entries), _bytes(kept), tuple(left))


def _attributes(path: Path, beside: set[Path]) -> str:
    facts = path.with_name(path.name + _META)
    return json.dumps(json.loads(facts.read_bytes())) if facts in beside else ""


def _walk(folder: Path) -> tuple[list[Path], list[str]]:
    """Files below a folder in the order of their names, and links that lead out of it."""
    found, left, root = [], [], folder.resolve()
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted([*names, *(one for one in folders if Path(place, one).is_symlink())]):
            path = Path(place, name)
            if path.is_symlink() and not (path.is_file() and path.resolve().is_relative_to(root)):
                left.append(path.relative_to(folder.parent).as_posix())
            elif path.is_file():
                found.append(path)
    return found, left


def _bytes(files: Sequence[Path]) -> int:
    return sum(_size(path) for path in files)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # gone since it was listed


def under(prefix: str, files: Files) -> Iterator[Entry]:
    """The entries with complete keys in the bucket."""
    for entry in files.entries:
        yield replace(entry, key=f"{prefix}/{entry.key}" if prefix else entry.key)
