"""A view's files as one process sees them: the newest snapshot for reads, and the steps of a writer."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from boxplat.core.disk import flush
from boxplat.features.rows import files, pushlog
from boxplat.features.rows import manifest as manifests
from boxplat.features.rows.layout import Layout
from boxplat.features.rows.locking import locked
from boxplat.features.rows.manifest import Manifest
from boxplat.features.rows.signal import Signal
from boxplat.features.rows.snapshot import Snapshot, open_snapshot
from boxplat.features.schema import View

CONTROL = ".control"
SCRATCH = "loading"
# Folders of dropped views, which a kill may leave behind.
DROPPED = ".dropped-"
_LONGEST_NAME = 150
# What a writer that was killed before its signal has changed is noticed after this time.
_LOOK_AGAIN_NS = 1_000_000_000


def file_name(view: str) -> str:
    """A folder name for a view of any name."""
    name = quote(view, safe="").replace(".", "%2E")
    return name if len(name) <= _LONGEST_NAME else hashlib.sha256(view.encode()).hexdigest()


class LiveView:
    """One view of a store, in this process."""

    def __init__(self, root: Path, name: str, timeout_s: float) -> None:
        self.name = name
        self.folder = root / file_name(name)
        self._control = root / CONTROL
        self._timeout_s = timeout_s
        self._signal = Signal(self._file("signal"))
        self._guard = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._seen = -1
        self._looked_ns = 0

    def _file(self, suffix: str) -> Path:
        return self._control / f"{file_name(self.name)}.{suffix}"

    def snapshot(self) -> Snapshot:
        """The view as it is now.

        Raises:
            FileNotFoundError: there is no such view.
            BoxError: a file of it is damaged.
        """
        snapshot = self._snapshot
        if snapshot is not None and self._signal.count() == self._seen:
            if time.monotonic_ns() - self._looked_ns < _LOOK_AGAIN_NS:
                return snapshot
        with self._guard:
            return self._refresh()

    def fresh(self) -> Snapshot:
        """The view as it is now, whatever the signal says; for the holder of the writer lock."""
        with self._guard:
            self._looked_ns = 0
            return self._refresh()

    def _refresh(self) -> Snapshot:
        seen, before = self._signal.count(), self._snapshot
        if before is not None and self._is_current(before):
            before.catch_up()
        else:
            self._snapshot = None
            # The whole store may have been removed and made anew, the signal's file with it.
            self._signal.forget()
            seen = self._signal.count()
            self._looked_ns = time.monotonic_ns()
            before = self._snapshot = open_snapshot(self.folder, before)
        self._seen = seen
        return before

    def _is_current(self, snapshot: Snapshot) -> bool:
        """Whether the manifest is still the snapshot's: by the signal, and once a second by the file itself."""
        now = time.monotonic_ns()
        if now - self._looked_ns < _LOOK_AGAIN_NS and self._signal.manifest() == snapshot.manifest.identity:
            return True
        self._looked_ns = now
        return manifests.read(self.folder).identity == snapshot.manifest.identity

    @contextmanager
    def writing(self, what: str) -> Iterator[None]:
        """Hold the view's writer lock; readers look again afterwards.

        Raises:
            BoxError: another writer holds it for longer than the time-out.
        """
        files.make_private(self._control)
        with locked(self._file("lock"), what, self._timeout_s):
            self._signal.create()
            try:
                yield
            finally:
                self._signal.raise_(manifests.identity(self.folder))

    @contextmanager
    def loading(self, timeout_s: float | None = None) -> Iterator[None]:
        """Hold the view's load lock: one bulk load at a time."""
        files.make_private(self._control)
        limit = self._timeout_s if timeout_s is None else timeout_s
        with locked(self._file("load"), f"load the view {self.name!r}", limit):
            yield

    def exists(self) -> bool:
        return (self.folder / manifests.NAME).exists()

    def define(self, view: View) -> None:
        """Create the view, or change its schema. Rows survive a change of fields, not one of keys."""
        layout = Layout.of(view)
        layout.check()
        with self.writing(f"define the view {view.name!r}"):
            files.make_private(self.folder)
            if not self.exists():
                self._start_log(Manifest(view, (), ()), layout)
                return
            old = self.fresh().manifest
            if old.view == view:
                return
            changed = replace(old, view=view)
            if Layout.of(old.view) == layout:
                manifests.write(self.folder, changed)
            elif Layout.of(old.view).keys == layout.keys:
                self._start_log(changed, layout)
            else:
                self._start_log(Manifest(view, (), ()), layout)
            self.sweep()

    def rotate(self) -> Manifest:
        """Let pushes go to a new log from now on, unless nothing is in the present one; the manifest after it."""
        with self.writing(f"load the view {self.name!r}"):
            snapshot = self.fresh()
            if snapshot.logs[-1].end > snapshot.logs[-1].start:
                self._start_log(snapshot.manifest, snapshot.layout)
            return self.fresh().manifest

    def _start_log(self, manifest: Manifest, layout: Layout) -> None:
        """Write the manifest with a new, empty log behind its others."""
        name = f"pushed-{secrets.token_hex(8)}.log"
        pushlog.create(self.folder / name, layout)
        manifests.write(self.folder, replace(manifest, logs=(*manifest.logs, name)))

    def sweep(self) -> None:
        """Remove files that the manifest does not name; the caller holds the writer lock."""
        named = manifests.read(self.folder).names() | {manifests.NAME, SCRATCH}
        for path in self.folder.iterdir():
            if path.name not in named:
                path.unlink(missing_ok=True)

    def drop(self) -> None:
        """Remove the view; a reader keeps what it has until its next read."""
        gone = self.folder.with_name(f"{DROPPED}{secrets.token_hex(8)}")
        with self.writing(f"drop the view {self.name!r}"):
            try:
                os.rename(self.folder, gone)
                flush(gone.parent)
            except FileNotFoundError:
                return
            except OSError as error:
                raise files.cannot_write(self.folder, error) from error
        shutil.rmtree(gone, ignore_errors=True)
