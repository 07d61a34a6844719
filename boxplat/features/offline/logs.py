"""Logged features: what a feature server answered, kept as part files of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.offline.append import part_name
from boxplat.features.offline.publish import write_table

if TYPE_CHECKING:
    import pyarrow as pa


def log(destination: Any, data: pa.Table | Path, repo: Path | None) -> list[Path]:
    """Add rows to a file logging destination: one part file, or one for each of its partitions.

    Args:
        data: the rows, or a Parquet file or folder that holds them.

    Returns:
        The new files.

    Raises:
        BoxError: a destination that is not made of files (exit code 2).
    """
    from feast.infra.offline_stores.file_source import FileLoggingDestination

    if not isinstance(destination, FileLoggingDestination):
        raise BoxError(
            f"the offline store cannot log to a {type(destination).__name__}",
            why="it writes Parquet files",
            fix="give the feature service LoggingConfig(destination=FileLoggingDestination(path=…))",
            code=ExitCode.USAGE,
        )
    path = Path(destination.path)
    root = path if path.is_absolute() or repo is None else repo / path
    table = data if not isinstance(data, str | Path) else _read(Path(data))
    written = []
    for folder, rows in _partitions(table, list(destination.partition_by or ())):
        target = root / folder / part_name("part")
        write_table(rows, target)
        written.append(target)
    return written


def _read(path: Path) -> pa.Table:
    import pyarrow.parquet as pq

    return pq.read_table(path)


def _partitions(table: pa.Table, keys: list[str]) -> list[tuple[Path, pa.Table]]:
    """Rows by folder `key=value/…`, the keys left out of the rows, as Hive does."""
    import pyarrow as pa

    if not keys:
        return [(Path(), table)]
    found = []
    for row in table.select(keys).group_by(keys).aggregate([]).to_pylist():
        rows = table
        for key in keys:
            rows = rows.filter(pa.compute.equal(rows[key], pa.scalar(row[key], rows[key].type)))
        folder = Path(*(f"{key}={row[key]}" for key in keys))
        found.append((folder, rows.drop_columns(keys)))
    return found
