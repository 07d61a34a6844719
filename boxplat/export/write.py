"""An export written to a folder that belongs to it, in one step."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.model import LOCK, Export


def write(export: Export, output: Path) -> None:
    """Replace the folder's content by the export; files of an earlier export that are no longer made disappear.

    The new files are written beside the folder first, so that a failure leaves the earlier export as it was.

    Raises:
        BoxError: the folder holds something else than an export (exit code 4), or cannot be written.
    """
    output = output.resolve()
    check(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
        try:
            fresh, former = staging / "new", staging / "old"
            _fill(fresh, export)
            if output.exists():
                output.rename(former)
            try:
                fresh.rename(output)
            except OSError:
                if former.exists():
                    former.rename(output)
                raise
        finally:
            shutil.rmtree(staging)
    except OSError as error:
        raise BoxError(
            f"cannot write the export to {output}",
            why=f"{error.strerror}: {error.filename}",
            fix="choose a folder that you can write to: box export kubernetes -o DIR",
        ) from error


def _fill(folder: Path, export: Export) -> None:
    contents = {**{file.path: file.text.encode() for file in export.files}, **export.packages}
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for file in export.files:
        if file.executable:
            (folder / file.path).chmod(0o755)


def check(output: Path) -> None:
    """Refuse what is not ours: a folder without the lock of an export, or files that the lock does not name.

    Raises:
        BoxError: there is something else (exit code 4).
    """
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    strange = [output.name] if not output.is_dir() else _strange(output)
    if strange:
        shown = ", ".join(strange[:5]) + (", …" if len(strange) > 5 else "")
        raise BoxError(
            f"{output} is not just an export of boxplat, so it is left as it is",
            why=f"not written by an export: {shown}",
            fix="move these files elsewhere, or choose another folder: box export kubernetes -o DIR",
            code=ExitCode.PRECONDITION,
        )


def _strange(output: Path) -> list[str]:
    try:
        lock = json.loads((output / LOCK).read_bytes())
        known = {LOCK, *lock["files"]} if lock["made_by"] == "boxplat" else set()
    except (OSError, ValueError, LookupError, TypeError):
        known = set()
    paths = [Path(folder, name) for folder, _, files in os.walk(output) for name in files]
    return sorted({path.relative_to(output).as_posix() for path in paths} - known)
