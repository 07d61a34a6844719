"""The Feast repository `feature_repo/`: its definitions applied, and its store opened."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from flights.paths import data_folder

if TYPE_CHECKING:
    from feast import FeatureStore


def applied(repo: Path) -> FeatureStore:
    """What `feast apply` does, in this process; then the store."""
    from feast import FeatureStore
    from feast.repo_config import load_repo_config
    from feast.repo_operations import apply_total
    from feast.utils import get_default_yaml_file_path

    repo = repo.resolve()
    # On a cluster the environment names another file, with stores of the cluster.
    settings = get_default_yaml_file_path(repo)
    if settings.parent == repo:
        # The registry and the online store lie beside the data: see feature_store.yaml.
        (data_folder().parent / "feast").mkdir(mode=0o700, parents=True, exist_ok=True)
    with quiet(), _inside(repo):
        apply_total(load_repo_config(repo, settings), repo, skip_source_validation=True)
    return FeatureStore(repo_path=str(repo))


@contextmanager
def quiet() -> Iterator[None]:
    """Feast tells of each object on standard output, and warns of each call that will change one day."""
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
