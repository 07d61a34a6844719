"""Where audits live in a box: their reports, and a working folder that goes when they end."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from boxplat.core.paths import Paths
from boxplat.features.audit.report import Report

_WORK = "work-"


@contextmanager
def scratch(paths: Paths) -> Iterator[Path]:
    """A private working folder, removed at the end; those of processes that were killed are removed first."""
    folder = _folder(paths)
    for left in folder.glob(f"{_WORK}*"):
        if not Path("/proc", left.name.split("-")[1]).exists():
            shutil.rmtree(left, ignore_errors=True)
    # In a container a process that was killed had perhaps the same number.
    work = Path(tempfile.mkdtemp(prefix=f"{_WORK}{os.getpid()}-", dir=folder))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def keep(paths: Paths, report: Report) -> None:
    """Keep a report as text, and say in it where."""
    # To the microsecond: two audits of one table may end within the same second.
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    file = _folder(paths) / f"{stamp}-{Path(report.table).stem}.txt"
    report.file = str(file)
    file.write_text(f"{report}\n", encoding="utf-8")
    file.chmod(0o600)


def short(paths: Paths, file: Path) -> str:
    """A file's path relative to the project, where it lies in it."""
    return str(file.relative_to(paths.root) if file.is_relative_to(paths.root) else file)


def _folder(paths: Paths) -> Path:
    folder = paths.state / "audits"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
