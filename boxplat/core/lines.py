"""Files of JSON lines that several processes append to."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Add a record in one write; it begins with a line end, so that a half-written one before it spoils only itself.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, b"\n" + json.dumps(record).encode() + b"\n")
    finally:
        os.close(file)
