"""The online store of one project: a folder of views, read by many processes and written by one at a time."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pyarrow as pa

from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.features.rows import block, files, pushlog
from boxplat.features.rows import manifest as manifests
from boxplat.features.rows.asked import Asked
from boxplat.features.rows.codecs import Column
from boxplat.features.rows.incoming import incoming
from boxplat.features.rows.live import DROPPED, LiveView
from boxplat.features.rows.load import Load
from boxplat.features.rows.rows import Limit, Rows
from boxplat.features.rows.snapshot import Snapshot
from boxplat.features.rows.status import ViewStatus, status_of
from boxplat.features.schema import View

_log = logging.getLogger(__name__)
_FIX = "box features apply"


class Store:
    """The views of one project. Opening is free; files are opened at the first read of their view.

    Any number of processes and threads may read; one process at a time writes a view (others wait up to `timeout_s` and
    then get a BoxError that names the holder). Reads never wait, and see a finished push or load at once.
    """

    def __init__(self, folder: Path | str, timeout_s: float = 30.0) -> None:
        """
        Args:
            folder: the project's folder; made at the first `define`.
            timeout_s: how long a writer waits for another one.
        """
        self.folder = Path(folder)
        self._timeout_s = timeout_s
        self._live: dict[str, LiveView] = {}

    def define(self, view: View) -> None:
        """Create a view, or change its schema.

        Rows that are there stay; a field that is new, or has another type, reads as null until it is written again.
        With other keys (names or types) the old rows mean nothing any more and are removed.

        Raises:
            BoxError: a field has no storable type; another writer holds the view; the disk is full.
        """
        files.make_private(self.folder)
        live = self._of(view.name)
        before = live.snapshot().view if live.exists() else view
        live.define(view)
        if before.keys == view.keys and not set(before.fields) <= set(view.fields):
            # Rewritten without the lost field: were it to come back, it would have its old values.
            with self.load(view.name) as load:
                load.commit(None)
        for left in self.folder.glob(f"{DROPPED}*"):
            shutil.rmtree(left, ignore_errors=True)

    def view(self, name: str) -> View:
        """The schema of a view.

        Raises:
            BoxError: there is no such view (exit code 9), or its files are damaged.
        """
        return self._snapshot(name).view

    def views(self) -> tuple[str, ...]:
        """The names of all views, sorted."""
        if not self.folder.is_dir():
            return ()
        names = []
        for path in self.folder.iterdir():
            if path.name[0] != ".":
                with suppress(FileNotFoundError, NotADirectoryError):
                    names.append(manifests.read(path).view.name)
        return tuple(sorted(names))

    def drop(self, name: str) -> None:
        """Remove a view and its rows; nothing happens when there is none."""
        live = self._of(name)
        if live.exists():
            live.drop()

    @staticmethod
    def asked(keys: Mapping[str, Column]) -> Asked:
        """Keys for several reads, of views whose keys have the same names: encoded and hashed once."""
        return Asked(keys)

    def read(
        self,
        view: str,
        keys: Mapping[str, Column] | Asked,
        fields: Sequence[str] | None = None,
        now_us: int | np.ndarray[tuple[int], np.dtype[np.int64]] | None = None,
    ) -> Rows:
        """The rows of N entities, in the order asked for; an entity may be asked for twice.

        Args:
            keys: N values for each key: a list, a NumPy or an Arrow array. None is never found. A view without keys
                takes any column for N, or nothing for N = 1. Or what `asked` made of them.
            fields: which fields; None: all.
            now_us: microseconds since the epoch against which the view's time to live is counted, one for all entities
                or int64 [N]; None: the clock. A row is expired when `now_us - event_us > ttl_us`; an event after
                `now_us` is present.

        Raises:
            BoxError: no such view or field (exit code 9), a key missing or of another type (2), damaged files (1).
        """
        snapshot = self._snapshot(view)
        wanted = snapshot.asked(fields)
        oldest: Limit = None
        if snapshot.view.ttl_us:
            oldest = (time.time_ns() // 1000 if now_us is None else now_us) - snapshot.view.ttl_us
        asked = keys if isinstance(keys, Asked) else Asked(keys)
        if not isinstance(oldest, np.ndarray):
            few = asked.few(snapshot.layout)
            if few is not None:
                return snapshot.read_few(few, wanted, oldest, asked.places)
        return snapshot.read(asked.many(snapshot.layout, view), wanted, oldest)

    def push(
        self, view: str, table: pa.Table | Mapping[str, Column], timestamp: str, created: str | None = None
    ) -> int:
        """Write rows one push at a time: on the disk, and seen by every reader, when this returns.

        An older row never replaces a newer one: the newest event time wins, then the later created time (null loses),
        then the later write.

        Args:
            table: a column for every key and every field of the view; others are ignored. An Arrow table, or a mapping
                of columns (Python values for maps and structs of mixed types).
            timestamp: the column of event times; created: the one of created times, if any.

        Returns:
            How many rows became the newest of their entity.

        Raises:
            BoxError: a column is missing, a key or time is null, a value does not fit, another writer holds the view
                for longer than the time-out, the disk is full. The view is then as it was.
        """
        live = self._of(view)
        self._snapshot(view)
        with live.writing(f"push to the view {view!r}"):
            snapshot = live.fresh()
            rows = snapshot.winners(_pushed(snapshot, table, timestamp, created))
            if len(rows):
                pushlog.append(snapshot.logs[-1], rows)
        if snapshot.folds():
            self._fold(live)
        return len(rows)

    def _fold(self, live: LiveView) -> None:
        """Merge the pushed rows into the segments, unless a load is under way, which does the same."""
        try:
            with live.loading(0):
                Load(live).commit(None)
        except BoxError as error:
            if error.code != ExitCode.TIMED_OUT:
                _log.warning("pushed rows stay in the log of the view %r: %s", live.name, error)

    def status(self, view: str) -> ViewStatus:
        """What the view holds, in figures."""
        return status_of(self._snapshot(view))

    def watermark_us(self, view: str) -> int | None:
        """Up to which event time the last bulk load of a view went, None when there was none. Costs next to nothing."""
        return self._snapshot(view).manifest.watermark_us

    @contextmanager
    def load(self, view: str) -> Iterator[Load]:
        """A bulk load of the view, exclusive among loads; pushes and reads go on. Only `Load.commit` changes the view.

        Raises:
            BoxError: no such view; another process is loading it (named by its pid).
        """
        live = self._of(view)
        self._snapshot(view)
        with live.loading():
            yield Load(live)

    def _of(self, name: str) -> LiveView:
        live = self._live.get(name)
        if live is None:
            live = self._live.setdefault(name, LiveView(self.folder, name, self._timeout_s))
        return live

    def _snapshot(self, name: str) -> Snapshot:
        try:
            return self._of(name).snapshot()
        except FileNotFoundError:
            raise not_found("view", name, self.views(), fix=_FIX) from None


def _pushed(
    snapshot: Snapshot, table: pa.Table | Mapping[str, Column], timestamp: str, created: str | None
) -> block.Block:
    """A push as rows, in its order."""
    view = snapshot.view
    columns = dict(zip(table.column_names, table.columns, strict=True)) if isinstance(table, pa.Table) else table
    _require(view, columns, [timestamp] if created is None else [timestamp, created])
    keys = {key.name: columns[key.name] for key in view.keys} or {timestamp: columns[timestamp]}
    fields = ((field.name, columns[field.name]) for field in view.fields)
    made = None if created is None else columns[created]
    rows = incoming(snapshot.layout, view.name, keys, columns[timestamp], made, fields)
    if len(rows) != len(columns[timestamp]):
        raise _bad_push(view.name, "a key is null", "give every row its key")
    return rows


def _require(view: View, columns: Mapping[str, Column], times: Sequence[str]) -> None:
    wanted = [*times, *(field.name for field in (*view.keys, *view.fields))]
    missing = [name for name in wanted if name not in columns]
    if missing:
        why = f"no column {', '.join(missing)}; given: {', '.join(columns)}"
        raise _bad_push(view.name, why, "give every key, every field and the time")


def _bad_push(view: str, why: str, fix: str) -> BoxError:
    return BoxError(f"cannot push to the view {view!r}", why=why, fix=fix, code=ExitCode.USAGE)
