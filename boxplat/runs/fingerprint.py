"""What a run would do, as one digest: the same flow code with the same parameters has the same fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from boxplat.runs.code import digest_of, own_files


def fingerprint(folders: Iterable[Path], flow: str, params: Mapping[str, str]) -> str:
    """SHA-256 over the flow's name, its parameters and the files that people wrote in the folders."""
    digests = [digest_of(folder, own_files(folder)) for folder in folders]
    return hashlib.sha256(json.dumps([flow, sorted(params.items()), digests]).encode()).hexdigest()
