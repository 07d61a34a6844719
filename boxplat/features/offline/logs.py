"""Logged features: what a feature server answered, kept as part files of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.offline.append import part_name
from boxplat.features.offline.publish import write_table

if TYPE_CHECKING:
    import pyarrow as pa

# Hive's folder of rows whose key is null.
_NULL = "__HIVE_DEFAULT_PARTITION__"


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
    import pyarrow.compute as pc

    if not keys:
        return [(Path(), table)]
    # By the folders' names and not by the values: these can be null or NaN, which equal nothing.
    names = [[_folder(key, value) for value in table.column(key).to_pylist()] for key in keys]
    rows: dict[Path, list[int]] = {}
    for number, parts in enumerate(zip(*names, strict=True)):
        rows.setdefault(Path(*parts), []).append(number)
    rest = table.drop_columns(keys)
    return [(folder, pc.take(rest, numbers)) for folder, numbers in rows.items()]


def _folder(key: str, value: Any) -> str:
    """Escaped, so that no value leads to another folder."""
    return f"{key}={_NULL if value is None else quote(str(value), safe='')}"
