"""Many part files made one, in order of time or of key and time, while readers go on reading."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.database import Limits, connect, is_remote, quoted
from boxplat.features.offline.append import part_name
from boxplat.features.offline.delta import is_delta
from boxplat.features.offline.files import MERGED_PREFIX, PARTS, Listing, listing
from boxplat.features.offline.merge import absorb, remove
from boxplat.features.offline.plans import watched
from boxplat.features.offline.source import of_files, path_of, schema
from boxplat.features.offline.times import micros
from boxplat.features.repository import Told, explained, folder, opened

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.data_source import DataSource

ORDERS = ("time", "key")


@dataclass(frozen=True)
class Table:
    """Files to merge, and the order of their rows.

    Attributes:
        root: a Parquet file, or a folder of them.
        timestamp, keys: columns to sort by, the keys first; or the names that `mapping` (column → name) gives them.
    """

    name: str
    root: Path
    timestamp: str
    keys: tuple[str, ...] = ()
    mapping: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Merged:
    """What became of one source: files before, files after, rows in all."""

    before: int
    after: int
    rows: int


def compact(
    state: StateStore, paths: Paths, config: Config, view: str | None, order: str, by: str, told: Told
) -> dict[str, Merged]:
    """Merge the part files of the feature views' sources.

    Args:
        view: one feature view; its file is put in order even if it is the only one. None: all that have parts.
        order: `time` (event time), or `key` (join keys, then event time).

    Returns:
        What was merged, by feature view.

    Raises:
        BoxError: an order that is none (exit code 2), an unknown view (9), another merge at work, or files that cannot
            be read (1). The source is as it was.
    """
    if order not in ORDERS:
        raise BoxError(f"no order {order!r}", why="it is time or key", fix="--order time", code=ExitCode.USAGE)
    began, repo, done = time.monotonic(), folder(paths, config), dict[str, Merged]()
    with opened(paths, config, told) as store:
        limits = _limits(store.config)
        views = {found.name: found for found in (*store.list_feature_views(), *store.list_stream_feature_views())}
        if view is not None and view not in views:
            raise not_found("feature view", view, views, "box features apply")
        for name in [view] if view else sorted(views):
            source = getattr(views[name], "batch_source", None)
            if source is None or not _mergeable(source, repo, view is not None):
                continue
            keys = tuple(views[name].join_keys) if order == "key" else ()
            mapping = dict(source.field_mapping or {})
            table = Table(name, Path(path_of(source, repo)), source.timestamp_field, keys, mapping)
            with explained(f"cannot merge the files of {name}", repo):
                merged = merge(table, limits, alone=view is not None)
            if merged.after < merged.before or view is not None:
                told(f"merged {name}: {merged.before} files to {merged.after}, {merged.rows} rows")
                done[name] = merged
    facts = {
        "files": {name: [found.before, found.after] for name, found in done.items()},
        "order": order,
        "seconds": round(time.monotonic() - began, 3),
        "by": by,
    }
    state.events.append("features", "features.compacted", facts)
    return done


def merge(table: Table, limits: Limits, alone: bool = False) -> Merged:
    """Merge a table's files, each folder's (each partition's) for itself.

    Args:
        alone: put a file in order that has no others to merge with.

    Raises:
        BoxError: another merge is at work (exit code 1), or the files changed meanwhile. The table is as it was.
    """
    before = after = rows = 0
    with _only_one(table.root):
        for target, found in _pieces(table.root):
            before, after = before + len(found.files), after + 1
            if len(found.files) > 1 or alone:
                rows += _rewrite(table, target, found, limits)
            else:
                remove(map(Path, found.replaced))
    return Merged(before, after, rows)


def _pieces(root: Path) -> list[tuple[Path, Listing]]:
    """What is merged with what, and the file that it becomes: a single file with its parts, or a folder's own files."""
    whole = listing(str(root))
    if root.is_file():
        return [(root, whole)]
    found = []
    for parent in sorted({os.path.dirname(file) for file in whole.files}):
        piece = Listing(
            files=tuple(file for file in whole.files if os.path.dirname(file) == parent),
            root=parent,
            stamps=tuple(stamp for stamp in whole.stamps if os.path.dirname(stamp.path) == parent),
            replaced=tuple(file for file in whole.replaced if os.path.dirname(file) == parent),
        )
        found.append((Path(parent) / part_name(MERGED_PREFIX.rstrip("-")), piece))
    return found


def _rewrite(table: Table, target: Path, piece: Listing, limits: Limits) -> int:
    with connect(limits) as con:
        found = of_files(table.name, str(target.parent), piece, con)
        order = [quoted(found.column(key, "join key", table.mapping)) for key in table.keys]
        order.append(micros(found, found.column(table.timestamp, "event time", table.mapping)))
        # Of equal times the row that was written last must stay the last.
        order += ["file_index", "file_row_number"]
        wanted = schema(found, con)
        rows = con.sql(f"SELECT * FROM {found.relation} ORDER BY {', '.join(order)}").to_arrow_reader(1 << 16)
        return absorb(
            _typed(watched(rows, [found]), wanted), target, [Path(file) for file in piece.files + piece.replaced]
        )


def _typed(stream: pa.RecordBatchReader, wanted: pa.Schema) -> pa.RecordBatchReader:
    """The stream in the types of the first file, which DuckDB's are not always; nothing is lost by it."""
    import pyarrow as pa

    known = {field.name: field.type for field in wanted}
    target = pa.schema([pa.field(field.name, known.get(field.name, field.type)) for field in stream.schema])
    return pa.RecordBatchReader.from_batches(target, (batch.cast(target) for batch in stream))


def _mergeable(source: DataSource, repo: Path, alone: bool) -> bool:
    """Whether a source is a folder on this machine, or a file with parts (or, if `alone`, without)."""
    found: Any = getattr(source, "batch_source", None) or source
    if type(found).__name__ != "FileSource" or is_delta(found):
        return False
    path = path_of(found, repo)
    if is_remote(path) or path.endswith(".csv"):
        return False
    return Path(path).is_dir() or Path(path + PARTS).is_dir() or (alone and Path(path).is_file())


def _limits(config: Any) -> Limits:
    from boxplat.features.offline.plugin import limits

    return limits(config)


@contextmanager
def _only_one(root: Path) -> Iterator[None]:
    home = root if root.is_dir() else root.with_name(root.name + PARTS)
    home.mkdir(exist_ok=True)
    handle = os.open(home / ".merge.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BoxError(
            f"another merge of {root} is at work",
            why="one at a time, or a row could be counted twice",
            fix="wait for it, then: box features compact",
        ) from error
    finally:
        os.close(handle)
