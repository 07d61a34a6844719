"""Feast: apply the definitions of `feature_repo/`, and bring the latest values online."""

from __future__ import annotations

import gc
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import datetime, timedelta
from io import StringIO
from itertools import groupby
from pathlib import Path

from flights.paths import data_folder, is_current, sha256, text_digest, write_manifest
from flights.views import SERVED


def publish(repo: Path, files: dict[str, str], now: datetime) -> bool:
    """Apply and materialize; False when definitions, feature rows (`files`: digests) and moment had not changed."""
    definitions = [sha256(path) for path in sorted((*repo.glob("*.py"), *repo.glob("*.yaml")))]
    inputs = text_digest(now.isoformat(), str(repo.resolve()), *definitions, *files.values())
    folder = data_folder() / "online"
    if is_current(folder, inputs) and all(path.exists() for path in _stores(repo)):
        return False
    with _quiet():
        apply(repo)
        materialize(repo, now)
    folder.mkdir(mode=0o700, exist_ok=True)
    write_manifest(folder, {"inputs": inputs, "files": files})
    return True


def _stores(repo: Path) -> list[Path]:
    """Files of the registry and of the online store, where these are files."""
    import yaml

    config = yaml.safe_load((repo / "feature_store.yaml").read_text())
    parts = (config.get("registry"), config.get("online_store"))
    paths = [part.get("path") if isinstance(part, dict) else part for part in parts]
    return [repo / path for path in paths if path and "://" not in path]


def apply(repo: Path) -> None:
    """What `feast apply` does, in this process."""
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total

    repo = repo.resolve()
    for path in _stores(repo):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _inside(repo):
        apply_total(load_repo_config(repo, repo / "feature_store.yaml"), repo, skip_source_validation=True)


def materialize(repo: Path, now: datetime) -> None:
    """Write the latest row of every key, as of `now`, to the online store.

    Each view is read back to its life time only: what is older would be void anyway.
    """
    from feast import FeatureStore

    store = FeatureStore(repo_path=str(repo))
    for ttl, views in groupby(sorted(SERVED, key=lambda view: view.ttl), key=lambda view: view.ttl):
        store.materialize(now - timedelta(minutes=ttl), now, feature_views=[view.name for view in views])
    drop_default_backend()


def drop_default_backend() -> None:
    """Feast's duckdb store leaves a connection in ibis, about which DuckDB prints pages when the process ends."""
    ibis = sys.modules.get("ibis")
    if ibis is not None:
        ibis.options.default_backend = None
        gc.collect()


@contextmanager
def _quiet() -> Iterator[None]:
    """Feast tells of each object on standard output, and its ibis of each call that will change one day."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        # Not a filter: importing Feast puts its own in front.
        warnings.showwarning = lambda *_, **__: None
        yield


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    """Feast imports the definitions relative to the working directory, as its command line does."""
    before = Path.cwd()
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        os.chdir(before)
