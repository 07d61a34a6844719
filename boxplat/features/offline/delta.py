"""Delta tables: the Parquet files of one now, and new versions of it; by the package `deltalake`, if it is there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.offline.files import Listing

if TYPE_CHECKING:
    import pyarrow as pa


def is_delta(source: Any) -> bool:
    """Whether a Feast source or storage is declared as a Delta table."""
    return type(getattr(source, "file_format", None)).__name__ == "DeltaFormat"


def delta_files(path: str, name: str) -> Listing:
    """The data files of a Delta table's newest version.

    Raises:
        BoxError: the package `deltalake` is missing (exit code 4); no table there (9); a table whose files alone do not
            hold the truth (2).
    """
    deltalake = _package()
    try:
        table = deltalake.DeltaTable(path)
    except deltalake.exceptions.TableNotFoundError as error:
        fix = "write the table, or correct the source's path, then: box features apply"
        raise BoxError(f"no Delta table at {path}", why=str(error), fix=fix, code=ExitCode.NOT_FOUND) from error
    features = set(table.protocol().reader_features or ()) & {"deletionVectors", "columnMapping"}
    if features:
        raise BoxError(
            f"the Delta table {path} cannot be read from its files alone",
            why=f"it uses {', '.join(sorted(features))}",
            fix="rewrite the table without these features, or export it to Parquet",
            code=ExitCode.USAGE,
        )
    files = tuple(unquote(urlparse(uri).path) if uri.startswith("file:") else uri for uri in table.file_uris())
    return Listing(files, "", ())


def add_rows(path: str, rows: pa.Table) -> Path:
    """Append rows as a new version."""
    _package().write_deltalake(path, rows, mode="append")
    return Path(path)


def replace_rows(path: str, rows: pa.RecordBatchReader) -> None:
    """Make a version of these rows only; the table is made if there is none."""
    _package().write_deltalake(path, rows, mode="overwrite")


def _package() -> Any:
    try:
        import deltalake
        import deltalake.exceptions
    except ImportError as error:
        raise BoxError(
            "a Delta table can be neither read nor written",
            why="the package deltalake is not installed",
            fix="pip install deltalake",
            code=ExitCode.PRECONDITION,
        ) from error
    return deltalake
