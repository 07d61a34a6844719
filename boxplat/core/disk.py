"""What must be on the disk before it is told."""

from __future__ import annotations

import os
from pathlib import Path


def flush(path: Path) -> None:
    """Make a file's contents, or the names in a folder, durable (fsync(2))."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
