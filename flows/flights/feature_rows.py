"""Rows of every feature view, and the training table over them."""

from __future__ import annotations

import time
from pathlib import Path

from flights import raw, sources, training_set
from flights.events import SOURCES
from flights.paths import digests, is_current, quoted, text_digest, write_manifest
from flights.views import SERVED, VIEWS

TRAINING = "training.parquet"


def inputs_digest(raw_digests: dict[str, str]) -> str:
    """Digest of the checked data and of all SQL that makes features of them."""
    joins = [training_set.as_of_join(view, view.name) for view in SERVED]
    shape = [training_set.TARGETS, training_set.inputs(training_set.NUMERIC)]
    return text_digest(*raw_digests.values(), *SOURCES.values(), *(view.sql for view in VIEWS), *joins, *shape)


def build(raw_folder: Path, folder: Path) -> bool:
    """Write `<view>.parquet` for every view and `training.parquet` to `folder`; False when nothing had changed."""
    if not (raw_folder / "flight.parquet").exists():
        raise FileNotFoundError(f"{raw_folder}/flight.parquet: run flows/ingest.py first")
    inputs = inputs_digest(digests(raw_folder))
    if is_current(folder, inputs):
        return False
    started = time.perf_counter()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    con = sources.connect()
    raw.attach(con, raw_folder)
    for view in VIEWS:
        con.execute(f"copy ({view.sql}) to {quoted(folder / f'{view.name}.parquet')} (compression zstd)")
    con.execute(f"create table target as {training_set.TARGETS}")
    training_set.create(con, {view.name: training_set.view_rows(folder, view) for view in SERVED})
    con.execute(f"copy training to {quoted(folder / TRAINING)} (compression zstd)")
    con.close()
    write_manifest(folder, {"inputs": inputs, "files": digests(folder), "seconds": time.perf_counter() - started})
    return True
