"""An export written to a folder that belongs to it, in one step."""

from __future__ import annotations

import ctypes
import glob
import json
import os
import shutil
import tempfile
from pathlib import Path

import psutil

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.model import LOCK, Export

# Linux: `AT_FDCWD` and `RENAME_EXCHANGE` of renameat2(2).
_HERE, _EXCHANGE = -100, 2


def write(export: Export, output: Path) -> None:
    """Replace the folder's content by the export; files of an earlier export that are no longer made disappear.

    The new files are written beside the folder first and take its place in one step, so that neither a failure nor a
    kill leaves a half of them there.

    Raises:
        BoxError: the folder holds something else than an export (exit code 4), or cannot be written.
    """
    output = output.resolve()
    check(output)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _sweep(output)
        staging = Path(tempfile.mkdtemp(prefix=f"{_staging(output)}{os.getpid()}.", dir=output.parent))
        try:
            _fill(staging / "new", export)
            _take_place(staging / "new", output)
        finally:
            shutil.rmtree(staging)
    except OSError as error:
        raise BoxError(
            f"cannot write the export to {output}",
            why=f"{error.strerror}: {error.filename}",
            fix="choose a folder that you can write to: box export kubernetes -o DIR",
        ) from error


def _staging(output: Path) -> str:
    return f".{output.name}.boxplat-"


def _sweep(output: Path) -> None:
    """Remove what writers that were killed have left beside the folder."""
    for left in output.parent.glob(f"{glob.escape(_staging(output))}*"):
        pid = left.name.removeprefix(_staging(output)).partition(".")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _take_place(fresh: Path, output: Path) -> None:
    if not output.exists():
        fresh.rename(output)
    elif not _exchanged(fresh, output):
        former = fresh.with_name("old")
        output.rename(former)
        try:
            fresh.rename(output)
        except OSError:
            former.rename(output)
            raise


def _exchanged(one: Path, other: Path) -> bool:
    """Swap two folders in one step; False where the system or the file system cannot."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    found: int = call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE)
    return found == 0


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
