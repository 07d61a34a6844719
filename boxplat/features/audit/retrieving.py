"""Runs in the child process only: the rows that Feast retrieves from the copied project. Imports Feast at once, so that
the forks of the child need not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from feast import FeatureStore
from feast.repo_config import load_repo_config

from boxplat.features.audit.retrieval import ASKED

if TYPE_CHECKING:
    import pyarrow as pa

_asked = json.loads(os.environ[ASKED])
_repo = Path(_asked["repo"])
_config = load_repo_config(_repo, _repo / "feature_store.yaml")
_config.registry_config = {"registry_type": "file", "path": _asked["registry"]}
_store = FeatureStore(config=_config)
_service = _store.get_feature_service(_asked["service"])
# Loads the offline store's class.
_store._get_provider()


def build(_: Path, rows: pa.Table) -> pa.Table:
    """`get_historical_features` for the wanted rows; Feast takes `event_timestamp` for the decision time."""
    time = _asked["time"]
    entities = rows.rename_columns(["event_timestamp" if name == time else name for name in rows.column_names])
    job = _store.get_historical_features(
        entities.to_pandas(),
        _service,
        full_feature_names=_asked["full_names"],
        filter_by_created_timestamp=_asked["created"],
    )
    return job.to_arrow()
