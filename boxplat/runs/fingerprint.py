"""What a run would do, as one digest: the same flow code with the same parameters has the same fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

_IGNORED = {"__pycache__", ".metaflow"}


def fingerprint(folders: list[Path], flow: str, params: Mapping[str, str]) -> str:
    """SHA-256 over every file of the folders, the flow's name and its parameters."""
    digest = hashlib.sha256(json.dumps([flow, sorted(params.items())]).encode())
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not _IGNORED & set(path.parts):
                digest.update(f"{path.relative_to(folder.parent)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
