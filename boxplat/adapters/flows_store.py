"""Metaflow's local datastore on the disk: runs, and the blobs that they share.

An artifact is a blob named by its content, in `FLOW/data/ab/abcdef…` with its facts beside it in `…_meta`; the tasks of
a run name their blobs in `N.data.json`. Blobs with `cas_raw` (included files, code packages) are named by other blobs
or by a task's metadata only.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.sizes import on_disk

_NOT_RUNS = frozenset({"data", "runs", "_meta"})
_CARDS = "mf.cards"
_META = "_meta"
_SHA = re.compile(rb"[0-9a-f]{40}")
# A description of an included file is shorter than this.
_DESCRIPTION = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run in the datastore: `blobs` that its tasks name, `changed` when one of its files was written last."""

    flow: str
    run: str
    folders: tuple[Path, ...]
    blobs: frozenset[str]
    changed: float

    @property
    def pathspec(self) -> str:
        return f"{self.flow}/{self.run}"


class FlowStore:
    """The datastore of one box.

    Args:
        root: Metaflow's local root, `.box/metaflow`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root / ".metaflow"

    def flows(self) -> list[str]:
        """Names of flows that have left anything."""
        if not self._root.is_dir():
            return []
        return sorted(path.name for path in self._root.iterdir() if path.is_dir() and path.name != _CARDS)

    def names(self, flow: str) -> list[str]:
        """Metaflow's ids of the runs of a flow."""
        folder = self._root / flow
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(path.name for path in found if path.is_dir() and path.name not in _NOT_RUNS)

    def runs(self, flow: str) -> list[StoredRun]:
        """All runs of a flow with what they name."""
        raw = self._raw(flow)
        return [self._run(flow, name, raw) for name in self.names(flow)]

    def folders(self, flow: str, run: str) -> tuple[Path, ...]:
        """Where a run's own files are: those of its tasks, and its cards in either of two places."""
        places = (
            self._root / flow / run,
            self._root / flow / "runs" / run,
            self._root / _CARDS / flow / "runs" / run,
        )
        return tuple(place for place in places if place.is_dir())

    def blob_files(self, flow: str, blobs: Iterable[str]) -> list[Path]:
        """The files of blobs."""
        found = (self._root / flow / "data" / blob[:2] / blob for blob in blobs)
        return [path for blob in found for path in (blob, blob.with_name(f"{blob.name}{_META}"))]

    def blobs(self, flow: str) -> list[str]:
        """Every blob of a flow."""
        return [path.name for path in (self._root / flow / "data").glob("??/*") if not path.name.endswith(_META)]

    def sweep(self, flow: str, younger: float, gone: Callable[[int], None] = lambda size: None) -> int:
        """Delete the blobs that no run of a flow names; returns bytes freed. Nobody may write to the flow meanwhile.

        Args:
            younger: blobs that were written since this moment stay.
            gone: is told of bytes as they are freed.
        """
        kept = {blob for run in self.runs(flow) for blob in run.blobs}
        freed = 0
        for blob in self.blobs(flow):
            files = self.blob_files(flow, [blob])
            if blob not in kept and _changed(files[0]) < younger:
                size = on_disk(files)
                for path in files:
                    path.unlink(missing_ok=True)
                freed += size
                gone(size)
        return freed

    def _run(self, flow: str, name: str, raw: frozenset[str]) -> StoredRun:
        folders = self.folders(flow, name)
        files = [file for folder in folders for file in _below(folder)]
        blobs = {blob for file in files if file.name.endswith(".data.json") for blob in _named(file)}
        if raw:
            blobs |= raw & set(self._described(flow, blobs, files))
        return StoredRun(flow, name, folders, frozenset(blobs), max(map(_changed, files), default=0.0))

    def _raw(self, flow: str) -> frozenset[str]:
        """Blobs that are stored as they are; no task names them as its artifact."""
        found = set()
        for path in (self._root / flow / "data").glob(f"??/*{_META}"):
            try:
                if json.loads(path.read_bytes()).get("cas_raw"):
                    found.add(path.name.removesuffix(_META))
            except (OSError, ValueError, AttributeError):
                found.add(path.name.removesuffix(_META))
        return frozenset(found)

    def _described(self, flow: str, blobs: Iterable[str], files: Iterable[Path]) -> Iterator[str]:
        """Whatever looks like a blob's name in the small artifacts and in the metadata of a run."""
        contents = [file.read_bytes() for file in files if file.parent.name == _META and b"sha" in file.read_bytes()]
        for blob in blobs:
            path = self.blob_files(flow, [blob])[0]
            try:
                if path.stat().st_size <= _DESCRIPTION:
                    contents.append(gzip.decompress(path.read_bytes()))
            except (OSError, EOFError):
                continue
        for content in contents:
            yield from (found.decode() for found in _SHA.findall(content))


def _below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _named(file: Path) -> list[str]:
    """The blobs of one attempt at a task."""
    try:
        objects = json.loads(file.read_bytes()).get("objects", {})
    except (OSError, ValueError, AttributeError):
        return []  # an attempt that was killed half-way
    return [str(blob) for blob in objects.values()]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def remove(folder: Path, trash: Path) -> None:
    """Take a folder away at once, by renaming it, and then delete it: a kill leaves nothing half there."""
    trash.mkdir(mode=0o700, exist_ok=True)
    target = trash / f"{folder.name}-{os.urandom(6).hex()}"
    try:
        folder.rename(target)
    except FileNotFoundError:
        return
    shutil.rmtree(target, ignore_errors=True)
