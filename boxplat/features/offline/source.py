"""A Feast data source as DuckDB reads it: files or a query, and its columns."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.features.database import Limits, connect, is_remote, literal
from boxplat.features.offline.delta import delta_files, is_delta
from boxplat.features.offline.files import Listing, listing
from boxplat.features.remote import load_remote

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection
    from feast.data_source import DataSource

# How often files are looked up again that a merge removed meanwhile.
_TRIES = 5
_TEXT = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
# Sources whose columns are remembered while their files stay what they are, and how long a file must have been left
# alone to be trusted: clocks of file systems are coarse, so that two writes can have one time.
_REMEMBERED, _SETTLED_NS = 256, 1_000_000_000


@dataclass(frozen=True)
class Source:
    """A table at one moment.

    Attributes:
        name: for messages.
        files: Parquet files that all have the same columns; empty if only `relation` can read the source.
        relation: the source as DuckDB SQL, to stand behind FROM; always given.
        types: DuckDB type by column, in the order of the source.
        listing: what it was made from, to see whether it changed meanwhile.
    """

    name: str
    files: tuple[str, ...]
    relation: str
    types: Mapping[str, str]
    listing: Listing

    def column(self, name: str, role: str, mapping: Mapping[str, str]) -> str:
        """The source's column behind a name that definitions use.

        Args:
            mapping: the source's `field_mapping`, column → name.

        Raises:
            BoxError: there is none (exit code 2).
        """
        for column, known in mapping.items():
            if known == name and column in self.types:
                return column
        if name in self.types:
            return name
        raise BoxError(
            f"{self.name} has no column {name!r}{nearest(name, self.types)}, the {role}",
            why=f"its columns: {', '.join(self.types)}",
            fix="correct the definition (or its field_mapping), then: box features apply",
            code=ExitCode.USAGE,
        )


def path_of(source: DataSource, repo: Path | str | None) -> str:
    """The absolute path (or URL) of a Feast file source; relative ones are relative to the repository.

    Raises:
        BoxError: a source that is not made of files (exit code 2).
    """
    found: Any = getattr(source, "batch_source", None) or source
    # By name: the feature server appends to sources without loading Feast.
    if not any(kind.__name__ == "FileSource" for kind in type(found).__mro__):
        raise BoxError(
            f"the offline store cannot read a {type(found).__name__} ({source.name})",
            why="it reads Parquet, CSV and Delta files: FileSource, or a push or stream source with one behind it",
            fix="give the view a FileSource (batch_source=FileSource(path=…)), then: box features apply",
            code=ExitCode.USAGE,
        )
    return absolute(str(found.path), repo)


def absolute(path: str, repo: Path | str | None) -> str:
    """The path (or URL) that a source names; a relative one is relative to the repository."""
    if is_remote(path):
        return path
    place = Path(path.removeprefix("file://"))
    return str(place if place.is_absolute() or repo is None else Path(repo).absolute() / place)


def describe(source: DataSource, repo: Path | str | None, limits: Limits) -> Source:
    """`look_up` with a connection of its own."""
    with connect(limits) as con:
        return look_up(source, repo, con)


def look_up(source: DataSource, repo: Path | str | None, con: DuckDBPyConnection) -> Source:
    """Find a Feast source's files and columns.

    Raises:
        BoxError: nothing there (exit code 9), a kind that cannot be read (2), or unreadable files (1).
    """
    return look_at(source.name, path_of(source, repo), con, delta=is_delta(source))


def look_at(name: str, path: str, con: DuckDBPyConnection, delta: bool) -> Source:
    """`look_up` by an absolute path or URL; `delta`: it is a Delta table."""
    import duckdb

    if is_remote(path):
        load_remote(con, [path])
    if path.endswith(_TEXT):
        return _text(name, path, con)
    if delta:
        return of_files(name, path, delta_files(path, name), con)
    for _ in range(_TRIES):
        found = listing(path)
        try:
            return of_files(name, path, found, con)
        except (duckdb.Error, BoxError) as error:
            if found.unchanged():
                raise unreadable(name, error) if isinstance(error, duckdb.Error) else error from None
    raise BoxError(
        f"the files of {name} are replaced all the time",
        why="none of their lists stayed true while it was read",
        fix="repeat the command when the flow that writes them has ended",
    )


def recall(source: DataSource, repo: Path | str | None) -> Source | None:
    """A source that was looked up before and whose files are still the same; None: `look_up` has to ask DuckDB.

    Raises:
        BoxError: there are no files (exit code 9).
    """
    path = path_of(source, repo)
    if is_remote(path) or path.endswith(_TEXT) or is_delta(source):
        return None
    return _known.get((source.name, path, listing(path)))


_known: dict[tuple[str, str, Listing], Source] = {}


def schema(source: Source, con: DuckDBPyConnection) -> pa.Schema:
    """The Arrow types of the source's columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if source.files and not is_remote(source.files[0]):
        return pa.schema(list(pq.read_schema(source.files[0])))
    return con.sql(f"SELECT * FROM {source.relation} LIMIT 0").to_arrow_table().schema


def of_files(name: str, path: str, found: Listing, con: DuckDBPyConnection) -> Source:
    """Parquet files as a source; folders `key=value` below `path` are columns."""
    paths = f"[{', '.join(map(literal, found.files))}]"
    hive = _partitioned(path, found.files)
    plain = f"read_parquet({paths}, hive_partitioning={'true' if hive else 'false'}"
    types = _types(con, f"{plain})", name)
    same = len(found.files) == 1 or (not hive and _alike(con, paths))
    relation = f"{plain})" if same else f"{plain}, union_by_name=true)"
    types = types if same else _types(con, relation, name)
    whole = same and not hive and "*" not in found.files[0]
    made = Source(name, found.files if whole else (), relation, types, found)
    written = max((stamp.modified_ns for stamp in found.stamps), default=time.time_ns())
    if time.time_ns() - written > _SETTLED_NS and found.unchanged():
        if len(_known) >= _REMEMBERED:
            _known.clear()
        _known[name, path, found] = made
    return made


def _partitioned(path: str, files: Iterable[str]) -> bool:
    """Whether folders below the source's own are named `key=value`."""
    fixed = re.split(r"[*?\[]", path)[0]
    base = len(path if fixed == path else os.path.dirname(fixed))
    return any("=" in os.path.dirname(file)[base:] for file in files)


def _alike(con: DuckDBPyConnection, paths: str) -> bool:
    """Whether all files have the same columns of the same types, in the same order."""
    kinds = "list((name, type, type_length, converted_type, logical_type, scale, precision))"
    rows = con.execute(
        f"SELECT count(DISTINCT shape) FROM (SELECT {kinds} AS shape FROM parquet_schema({paths}) GROUP BY file_name)"
    ).fetchall()
    return int(rows[0][0]) <= 1


def _text(name: str, path: str, con: DuckDBPyConnection) -> Source:
    found = Listing((path,), "", ()) if is_remote(path) else listing(path)
    relation = f"read_csv([{', '.join(map(literal, found.files))}])"
    return Source(name, (), relation, _types(con, relation, name), found)


def _types(con: DuckDBPyConnection, relation: str, name: str) -> dict[str, str]:
    import duckdb

    try:
        rows = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.Error as error:
        raise unreadable(name, error) from error
    return {row[0]: row[1] for row in rows}


def unreadable(name: str, error: Exception) -> BoxError:
    """The error for files that DuckDB cannot read."""
    return BoxError(
        f"cannot read the source {name}",
        why=str(error).splitlines()[0],
        fix="run the flow that writes it again, then repeat the command",
    )
