"""From feature rows to where they are used: the training table, and the latest values online."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from flights import training_set
from flights.paths import (
    data_folder,
    digests,
    is_current,
    raw_folder,
    sha256,
    text_digest,
    training_folder,
    write_manifest,
)
from flights.repository import applied, quiet
from flights.views import SERVED

if TYPE_CHECKING:
    from feast import FeatureStore


def publish(repo: Path, files: dict[str, str], now: datetime) -> tuple[bool, bool]:
    """Apply the definitions, join the training table, bring `now` online.

    `files` are the digests of the feature rows. Returns which of table and online store were made anew; Feast is not
    even loaded when both are made of these definitions and rows.
    """
    definitions = [sha256(path) for path in sorted((*repo.glob("*.py"), *repo.glob("*.yaml")))]
    inputs = text_digest(str(repo.resolve()), *definitions, *files.values())
    shape = text_digest(inputs, training_set.TARGETS, training_set.inputs(training_set.NUMERIC))
    moment = text_digest(inputs, now.isoformat())
    table, online = training_folder(), data_folder() / "online"
    joined = not is_current(table, shape)
    brought = not (is_current(online, moment) and all(path.exists() for path in _stores(repo)))
    if joined or brought:
        with quiet():
            store = applied(repo)
            if joined:
                _join(store, table, shape)
            if brought:
                _materialize(store, now)
                online.mkdir(mode=0o700, exist_ok=True)
                write_manifest(online, {"inputs": moment, "files": files})
    return joined, brought


def _join(store: FeatureStore, folder: Path, inputs: str) -> None:
    import pyarrow.parquet as pq

    started = time.perf_counter()
    folder.mkdir(mode=0o700, exist_ok=True)
    table = training_set.join(store, training_set.targets(raw_folder()))
    pq.write_table(table, folder / "training.parquet", compression="zstd")
    write_manifest(folder, {"inputs": inputs, "files": digests(folder), "seconds": time.perf_counter() - started})


def _materialize(store: FeatureStore, now: datetime) -> None:
    """Write the latest row of every key, as of `now`, to the online store.

    Each view is read back to its life time only: what is older would be void anyway.
    """
    for ttl, views in groupby(sorted(SERVED, key=lambda view: view.ttl), key=lambda view: view.ttl):
        store.materialize(now - timedelta(minutes=ttl), now, feature_views=[view.name for view in views])


def _stores(repo: Path) -> list[Path]:
    """Files of the registry and of the online store, where these are files."""
    import yaml

    config = yaml.safe_load((repo / "feature_store.yaml").read_text())
    parts = (config.get("registry"), config.get("online_store"))
    paths = [part.get("path") if isinstance(part, dict) else part for part in parts]
    return [repo / path for path in paths if path and "://" not in path]
