"""One file in place of many: its footer names the files that it contains, and its rename is when they are replaced."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.features.offline.files import MERGED, MERGED_PREFIX, PARTS, data_files
from boxplat.features.offline.publish import write_batches

if TYPE_CHECKING:
    import pyarrow as pa


def absorb(rows: pa.RecordBatchReader, target: Path, replaced: Sequence[Path] | None = None) -> int:
    """Write a stream to `target` in place of other files of the same source; these are removed afterwards.

    Killed before the rename, the old files stand; killed after it, readers leave them out and the next merge removes
    what is left of them.

    Args:
        replaced: every file of the source that was there when the stream was begun; None: those that are there now.

    Returns:
        The number of rows.
    """
    old = [file for file in (present(target) if replaced is None else replaced) if file != target]
    names = sorted(os.path.relpath(file, target.parent) for file in old)
    written = write_batches(rows, target, {MERGED: json.dumps(names).encode()})
    remove(old)
    return written


def remove(files: Iterable[Path]) -> None:
    """Delete files that a merged file contains."""
    for file in files:
        file.unlink(missing_ok=True)


def present(target: Path) -> list[Path]:
    """The files that a merge into `target` replaces: parts beside a user's file, or all in a merged file's folder."""
    folder = target.parent if target.name.startswith(MERGED_PREFIX) else target.with_name(target.name + PARTS)
    return data_files(folder) if folder.is_dir() else []
