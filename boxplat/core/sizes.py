"""What files take on the disk: blocks, as du(1) counts them, and texts for sizes and ages."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode

_BLOCK = 512
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_SPANS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def on_disk(paths: Iterable[Path]) -> int:
    """Bytes of files and of folders with all below them; a file with several names counts once."""
    seen: set[tuple[int, int]] = set()
    return sum(_size(path, seen) for path in paths)


def _size(path: Path, seen: set[tuple[int, int]]) -> int:
    try:
        found = os.lstat(path)
        if found.st_nlink > 1 and not os.path.isdir(path):
            if (found.st_dev, found.st_ino) in seen:
                return 0
            seen.add((found.st_dev, found.st_ino))
        own = found.st_blocks * _BLOCK
        if not os.path.isdir(path) or os.path.islink(path):
            return own
        with os.scandir(path) as entries:
            return own + sum(_size(Path(entry.path), seen) for entry in entries)
    except FileNotFoundError:
        return 0  # gone since it was listed


def size_of(text: str) -> int:
    """Bytes of a text as `20G`, `500M` or `1.5T` (powers of 1024).

    Raises:
        BoxError: it is no size (exit code 2).
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise _unclear("a size", text, "--max-size 20G")
    return int(float(found[1]) * _UNITS[found[2]])


def age_of(text: str) -> float:
    """Seconds of a text as `30d`, `12h` or `2w`.

    Raises:
        BoxError: it is no age (exit code 2).
    """
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([mhdw])", text.strip().lower())
    if found is None:
        raise _unclear("an age", text, "--older-than 30d")
    return float(found[1]) * _SPANS[found[2]]


def _unclear(what: str, text: str, example: str) -> BoxError:
    return BoxError(f"{text!r} is not {what}", why=f"for example: {example}", fix="box gc --help", code=ExitCode.USAGE)
