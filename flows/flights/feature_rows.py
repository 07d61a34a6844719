"""The rows of every feature view, one Parquet file each."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from flights import raw, sources
from flights.events import SOURCES
from flights.paths import digests, is_current, quoted, text_digest, write_manifest
from flights.views import VIEWS, View


def inputs_digest(raw_digests: dict[str, str]) -> str:
    """Digest of the checked data and of all SQL that makes rows of them."""
    return text_digest(*raw_digests.values(), *SOURCES.values(), *(view.sql for view in VIEWS))


def build(raw_folder: Path, folder: Path) -> bool:
    """Write `<view>.parquet` for every view to `folder`; False when nothing had changed."""
    if not (raw_folder / "flight.parquet").exists():
        raise FileNotFoundError(f"{raw_folder}/flight.parquet: run flows/ingest.py first")
    inputs = inputs_digest(digests(raw_folder))
    if is_current(folder, inputs):
        return False
    started = time.perf_counter()
    write(raw_folder, folder, VIEWS)
    write_manifest(folder, {"inputs": inputs, "files": digests(folder), "seconds": time.perf_counter() - started})
    return True


def write(raw_folder: Path, folder: Path, views: Iterable[View]) -> None:
    """Write the rows of some views."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = sources.connect()
    raw.attach(con, raw_folder)
    for view in views:
        con.execute(f"copy ({view.sql}) to {quoted(folder / f'{view.name}.parquet')} (compression zstd)")
    con.close()
