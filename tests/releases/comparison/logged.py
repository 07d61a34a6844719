"""Logs and outcomes of endpoints that were never asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from boxplat.core.live import OutcomesConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.outcomes import incoming, store
from boxplat.releases.outcomes.store import Added
from boxplat.serving.log.asking import folder_of
from boxplat.serving.log.records import SCHEMA

_PLAIN = {"row": 0, "rows": 1, "api": "predict", "status": 200, "seconds": 0.01, "batch": 1, "endpoint": "delay"}


def log(paths: Paths, rows: Iterable[Mapping[str, Any]], endpoint: str = "delay") -> None:
    """Write rows of the log; `time` in seconds since the epoch, `keys` and `prediction` as values."""
    folder = folder_of(paths, endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for row in rows:
        full = {**dict.fromkeys(SCHEMA.names), **_PLAIN, **row}
        full["time"] = datetime.fromtimestamp(full["time"], UTC)
        full["keys"] = None if full["keys"] is None else json.dumps(full["keys"])
        full["prediction"] = None if full["prediction"] is None else json.dumps(full["prediction"])
        made.append(full)
    number = len(list(folder.glob("*.parquet")))
    pq.write_table(pa.Table.from_pylist(made, schema=SCHEMA), folder / f"{number:04d}.parquet")


def label(
    paths: Paths, rows: list[Mapping[str, Any]], said: OutcomesConfig | None = None, endpoint: str = "delay"
) -> Added:
    """Add labels that become known now."""
    names = dict.fromkeys(name for row in rows for name in row)
    table = pa.table({name: [row.get(name) for row in rows] for name in names})
    columns = incoming.columns(table.column_names, said or OutcomesConfig())
    return store.add(store.folder_of(paths, endpoint), table, columns)


def releases(state: StateStore, count: int, endpoint: str = "delay") -> None:
    """So many releases on record."""
    for _ in range(count):
        state.releases.add(endpoint, "delay:1", None, None, None, "e", "test")
