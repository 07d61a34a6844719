"""Digests of files and folders by their contents (SHA-256, hexadecimal)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Stamp:
    """A file's identity: what changes when its content may have changed. `size` is -1 where there is no file."""

    path: str
    device: int
    inode: int
    size: int
    modified_ns: int


def stamp(path: str) -> Stamp:
    """What a file is now."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return Stamp(path, 0, 0, -1, 0)
    return Stamp(path, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def of_file(path: Path) -> str:
    """The digest of a file, as `sha256sum` prints it.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def of_tree(files: Iterable[tuple[str, Path]], *texts: str) -> str:
    """One digest of some texts, and of the names and contents of files in the order given.

    Raises:
        OSError: one of them cannot be read.
    """
    return of_contents(((name, of_file(path)) for name, path in files), *texts)


def of_contents(contents: Iterable[tuple[str, str]], *texts: str) -> str:
    """One digest of some texts, and of names with the digests of what they hold."""
    found = hashlib.sha256("\0".join(texts).encode())
    for name, digest in contents:
        found.update(f"\0{name}\0".encode())
        found.update(bytes.fromhex(digest))
    return found.hexdigest()


def of_parts(contents: Sequence[tuple[str, str]]) -> str:
    """The digest of a dataset: a single file's own, else that of all names and digests in the order of the names."""
    if len(contents) == 1:
        return contents[0][1]
    return of_contents(sorted(contents))
