"""Which Parquet files a source consists of: the file itself, appended parts, folders, globs; and what a merge replaced.

A single file `x.parquet` is appended to by files in the folder `x.parquet.parts` beside it. A merge writes one new file
whose footer names the files that it contains; from the moment of its rename those are left out by every reader, so
that no crash can make a row count twice.
"""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.digests import Stamp, stamp
from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import is_remote

PARTS = ".parts"
# Key in a merged file's footer: a JSON list of the names of the files it contains, relative to its own folder.
MERGED = b"boxplat.merged"
MERGED_PREFIX = "merged-"


@dataclass(frozen=True)
class Listing:
    """The files of a source at one moment.

    Attributes:
        files: Parquet files in reading order, absolute paths (or URLs); a later file was written later.
        root: the single file or folder that the source names; empty for a glob or a URL.
        stamps: of the local files.
        replaced: files that are still there, but whose rows a merged file among `files` contains.
    """

    files: tuple[str, ...]
    root: str
    stamps: tuple[Stamp, ...]
    replaced: tuple[str, ...] = ()

    def unchanged(self) -> bool:
        """Whether every file is still what it was when it was listed."""
        return all(one.size >= 0 and one == stamp(one.path) for one in self.stamps)


def listing(path: str) -> Listing:
    """The Parquet files that `path` means: a file, a folder (with all below it), a glob or a URL.

    Raises:
        BoxError: there is none (exit code 9).
    """
    if is_remote(path):
        whole = path if path.endswith(".parquet") or _has_magic(path) else path.rstrip("/") + "/**/*.parquet"
        return Listing((whole,), "", ())
    place = Path(path)
    if place.is_file():
        files, root = [place], path
    elif place.is_dir():
        files, root = data_files(place), path
    else:
        files, root = [Path(found) for found in sorted(glob.glob(path, recursive=True)) if Path(found).is_file()], ""
    files = _with_parts(files)
    if not files:
        raise BoxError(
            f"no Parquet file at {path}",
            why="the folder is empty" if place.is_dir() else "there is no such file, folder or match",
            fix="run the flow that writes it, or correct the source's path, then: box features apply",
            code=ExitCode.NOT_FOUND,
        )
    # Stamps come before the footers: a merge in between shows as a change.
    stamps = tuple(stamp(str(file)) for file in files)
    current = _current(files)
    gone = tuple(str(file) for file in files if file not in current)
    return Listing(tuple(map(str, current)), root, stamps, gone)


def parts_folder(path: str) -> Path:
    """Where parts of a source are added: the folder itself, or the one beside a single file."""
    place = Path(path)
    return place if place.is_dir() else place.with_name(place.name + PARTS)


def merged_names(file: Path) -> frozenset[str]:
    """Names of the files that a merged file contains; none for any other file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        found = (pq.read_metadata(file).metadata or {}).get(MERGED)
    except (pa.ArrowException, OSError):
        # A truncated file says so when it is read for its rows.
        return frozenset()
    return frozenset(json.loads(found)) if found else frozenset()


def _with_parts(files: Iterable[Path]) -> list[Path]:
    found: dict[Path, None] = {}
    for file in files:
        found[file] = None
        beside = file.with_name(file.name + PARTS)
        if beside.is_dir():
            found.update(dict.fromkeys(data_files(beside)))
    return list(found)


def data_files(folder: Path) -> list[Path]:
    """Parquet files in a folder and below in the order of their names; hidden and `_` ones (but `_k=v`) are no data."""
    found = []
    for file in folder.rglob("*.parquet"):
        parts = file.relative_to(folder).parts
        hidden = (part.startswith((".", "_")) and "=" not in part for part in parts)
        if file.is_file() and not any(hidden):
            found.append(file)
    return sorted(found)


def _current(files: list[Path]) -> list[Path]:
    """Without the files that a merged file among them already contains."""
    gone: set[str] = set()
    for file in files:
        if file.name.startswith(MERGED_PREFIX) or file.with_name(file.name + PARTS).is_dir():
            gone.update(os.path.normpath(file.parent / name) for name in merged_names(file))
    return [file for file in files if os.path.normpath(file) not in gone]


def _has_magic(path: str) -> bool:
    return any(sign in path for sign in "*?[")
