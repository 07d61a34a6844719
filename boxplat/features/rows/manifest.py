"""The one small file that says what a view consists of; replacing it is the atomic step of every change."""

from __future__ import annotations

import json
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError
from boxplat.features.rows import files
from boxplat.features.schema import View

NAME = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Manifest:
    """What a view consists of.

    Attributes:
        view: its schema.
        segments: names of the segment files, one for each partition of the keys.
        logs: names of the push logs, oldest first; pushes go to the last one.
        watermark_us: end of the last bulk load; loaded_at_us: when that was. None: never loaded.
        identity: a random number, another one after every change.
    """

    view: View
    segments: tuple[str, ...]
    logs: tuple[str, ...]
    watermark_us: int | None = None
    loaded_at_us: int | None = None
    identity: int = 0

    def names(self) -> set[str]:
        return {*self.segments, *self.logs}


def write(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest, durably, under a new identity."""
    body = asdict(replace(manifest, identity=secrets.randbits(62) + 1))
    text = json.dumps({"version": VERSION, "crc": _crc(body), "manifest": body}, indent=1)
    files.replace(folder / NAME, [text.encode()])


def _crc(body: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def read(folder: Path) -> Manifest:
    """The manifest as it is now.

    Raises:
        FileNotFoundError: there is none: no such view.
        BoxError: it is damaged or of another version.
    """
    path = folder / NAME
    text = path.read_bytes()
    try:
        outer = json.loads(text)
        if outer["version"] != VERSION:
            raise files.other_version(path, outer["version"], VERSION)
        body = outer["manifest"]
        if outer["crc"] != _crc(body):
            raise files.damaged(path, "it does not match its checksum")
        view = View.from_json(body.pop("view"))
        return Manifest(view, tuple(body.pop("segments")), tuple(body.pop("logs")), **body)
    except (ValueError, KeyError, TypeError) as error:
        raise files.damaged(path, f"it is not the JSON that was written: {error}") from error


def identity(folder: Path) -> int:
    """The manifest's identity, 0 where there is none that can be read."""
    try:
        return read(folder).identity
    except (FileNotFoundError, BoxError):
        return 0
