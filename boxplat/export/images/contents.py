"""The folder that an image is built from, as the same bytes whatever the machine's dates, owners and rights."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from boxplat.core import digests
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import CONFIG_NAME
from boxplat.export.images import dockerfile
from boxplat.export.images.model import Image

_SKIPPED = frozenset({"__pycache__", "node_modules"})
_WHEELS = "wheels"


@dataclass(frozen=True, slots=True)
class Content:
    """One file: where it goes, its text or the file that has it, and whether it may be run."""

    place: str
    source: Path | bytes
    executable: bool = False

    def digest(self) -> str:
        """SHA-256, hexadecimal."""
        if isinstance(self.source, bytes):
            return hashlib.sha256(self.source).hexdigest()
        return digests.of_file(self.source)

    def read(self) -> bytes:
        """The whole of it."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def contents(image: Image, wheels: Iterable[Path] = ()) -> list[Content]:
    """Every file of an image's folder, by place.

    What is hidden, byte code and the project's settings, which may hold secrets, stay where they are.

    Raises:
        BoxError: a Bento is gone (exit code 9), or a link leads out of its folder (exit code 4).
    """
    made = [Content(file.path, file.text.encode()) for file in dockerfile.files(image)]
    found = [one for place, folder in image.sources.items() for one in _below(place, folder)]
    built = [Content(f"{_WHEELS}/{wheel.name}", wheel) for wheel in wheels]
    return sorted([*made, *found, *built], key=lambda one: one.place)


def digest(image: Image) -> str:
    """12 hexadecimal digits that change with whatever goes into the image."""
    present = [(one.place, one.digest()) for one in contents(image)]
    return digests.of_contents(present, "1")[:12]


def _below(place: str, folder: Path) -> Iterator[Content]:
    if not folder.is_dir():
        raise BoxError(
            f"no image can be made with {folder}",
            why="the folder is gone",
            fix="deploy the endpoint again, or correct its folder in boxplat.toml",
            code=ExitCode.NOT_FOUND,
        )
    inside = folder.resolve()
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if _kept(name)]
        for name in names:
            file = Path(root, name)
            if not _kept(name) or name == CONFIG_NAME or file.suffix == ".pyc" or not file.exists():
                continue
            if not file.resolve().is_relative_to(inside):
                raise _outside(file)
            yield Content(f"{place}/{file.relative_to(folder).as_posix()}", file, os.access(file, os.X_OK))


def _kept(name: str) -> bool:
    return not name.startswith(".") and name not in _SKIPPED


def _outside(link: Path) -> BoxError:
    return BoxError(
        f"{link} cannot go into an image",
        why=f"it is a link to {link.resolve()}, outside of the folder",
        fix="put a copy of the file in its place",
        code=ExitCode.PRECONDITION,
    )


def pack(found: Iterable[Content], target: IO[bytes]) -> None:
    """The files as a tar archive that is the same for the same contents."""
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for one in found:
            entry = tarfile.TarInfo(one.place)
            entry.mtime, entry.mode = dockerfile.EPOCH, 0o755 if one.executable else 0o644
            if isinstance(one.source, bytes):
                entry.size = len(one.source)
                archive.addfile(entry, io.BytesIO(one.source))
            else:
                entry.size = one.source.stat().st_size
                with one.source.open("rb") as file:
                    archive.addfile(entry, file)
