"""Noting what a task of a run reads and writes, by the digest of its content, in the run's spool.

Outside of a run nothing is hashed and nothing is written. Each content is hashed once in a box: the digest is kept with
the file's identity (path, device, inode, size, time of its last change).
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core import digests
from boxplat.core.digests import Stamp, stamp
from boxplat.core.errors import BoxError
from boxplat.core.lines import append

if TYPE_CHECKING:
    from boxplat.core.state.datasets import Datasets

SPOOL = "BOXPLAT_SPOOL"
STEP = "BOXPLAT_STEP"
READ, WROTE = "read", "wrote"
_CHANGED = "it was replaced before it could be hashed"
_REMOTE = "it does not lie on this machine"

# Of this process: a loop that reads the same files again and again says so once.
_told: set[tuple[str, str, str, tuple[Stamp, ...]]] = set()


def reads(name: str, place: str, stamps: Sequence[Stamp]) -> None:
    """A dataset was read.

    Args:
        name: of the source, as the feature repository has it, or the file's path.
        place: the file or folder.
        stamps: the files that were read, as they were before; none for one that is elsewhere.
    """
    _note(READ, name, place, stamps)


def writes(path: Path) -> None:
    """A file was written, and has its final name."""
    if SPOOL in os.environ:
        place = os.path.abspath(path)
        _note(WROTE, _shown(place), place, [stamp(place)])


def read_file(path: Path) -> None:
    """A file of its own, no source of features, was read."""
    if SPOOL in os.environ:
        place = os.path.abspath(path)
        _note(READ, _shown(place), place, [stamp(place)])


def brought(view: str, rows: int) -> None:
    """Rows of a feature view were brought online."""
    spool = os.environ.get(SPOOL)
    if spool:
        # A full disk must not undo what is done already.
        with contextlib.suppress(OSError):
            append(Path(spool), {"kind": "materialized", "at": time.time(), "view": view, "rows": rows})


def _note(way: str, name: str, place: str, stamps: Sequence[Stamp]) -> None:
    spool = os.environ.get(SPOOL)
    what = (way, name, place, tuple(stamps))
    if not spool or what in _told:
        return
    _told.add(what)
    path = Path(spool)
    record = {
        "kind": "data",
        "at": time.time(),
        "way": way,
        "name": name,
        "path": _shown(place),
        "step": os.environ.get(STEP, ""),
        "files": len(stamps),
        "bytes": sum(max(one.size, 0) for one in stamps),
    }
    try:
        append(path, {**record, **_hashed(path.parents[2] / "box.db", place, stamps)})
    except OSError:
        return  # a full disk: what it keeps from being written must not fail as well what the task did


def _hashed(database: Path, place: str, stamps: Sequence[Stamp]) -> dict[str, str]:
    if not stamps:
        return {"digest": "", "note": _REMOTE}
    try:
        return {"digest": digest(_cache(database), place, stamps), "note": ""}
    except (OSError, BoxError) as error:
        return {"digest": "", "note": f"it was not hashed: {error}".partition("\n")[0]}


def digest(cache: Datasets | None, place: str, stamps: Sequence[Stamp]) -> str:
    """The digest of a dataset, of which only files are read that have changed since they were hashed last.

    Args:
        place: the file or folder that the dataset is; names of files are relative to it.
        stamps: of its files.

    Raises:
        OSError: a file cannot be read, or is no longer what it was.
    """
    known = cache.digests(stamps) if cache else {}
    new = {one: digests.of_file(Path(one.path)) for one in stamps if one.path not in known and one.size >= 0}
    if any(one.size < 0 or stamp(one.path) != one for one in stamps):
        raise OSError(_CHANGED)
    if cache:
        cache.remember(new)
    found = {**known, **{one.path: digest for one, digest in new.items()}}
    root = place if os.path.isdir(place) else os.path.dirname(place)
    return digests.of_parts([(os.path.relpath(path, root), one) for path, one in found.items()])


def _cache(database: Path) -> Datasets | None:
    if not database.exists():
        return None
    from boxplat.core.state.database import Database
    from boxplat.core.state.datasets import Datasets

    return Datasets(Database(database))


def _shown(place: str) -> str:
    """A path relative to the project where it lies in it."""
    root = os.environ.get("BOXPLAT_PROJECT", "")
    inside = root and place.startswith(f"{os.path.abspath(root)}/")
    return os.path.relpath(place, root) if inside else place
