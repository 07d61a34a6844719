"""Files of JSON lines that several processes append to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


def append(path: Path, record: Mapping[str, Any], synced: bool = False) -> None:
    """Add a record in one write; it begins with a line end, so that a half-written one before it spoils only itself.

    Args:
        synced: it is on the disk when this returns.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"\n" + json.dumps(record).encode() + b"\n")
        if synced:
            os.fsync(file)
    finally:
        os.close(file)


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, without those that were cut off; none where there is no file."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    for line in text.split("\n"):
        try:
            record = json.loads(line)
        except ValueError:
            continue  # empty, or cut off by a full disk or a power cut
        if isinstance(record, dict):
            yield record
