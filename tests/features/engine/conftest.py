"""Small sources, plans over them, and a real Feast repository that reads one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.features import rows
from boxplat.features.database import connect
from boxplat.features.engine.load import load
from boxplat.features.engine.plan import Options, Plan
from boxplat.features.offline.source import look_up
from boxplat.features.schema import Field, View

DAY_US = 86_400_000_000
BASE_US = 1_767_225_600_000_000  # 2026-01-01 UTC
EVER = (-(2**60), 2**60)


def quiet(_: int) -> Callable[[int], object]:
    """Progress that nobody watches."""
    return lambda done: None


def write(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    """A Parquet file."""
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def times(us: Sequence[int | None]) -> pa.Array:
    """Moments in UTC."""
    return pa.array(us, pa.timestamp("us", tz="UTC"))


def plan_of(
    path: Path,
    keys: Mapping[str, str],
    fields: Mapping[str, str],
    span: tuple[int, int] = EVER,
    created: str | None = "created",
    name: str = "reports",
) -> Plan:
    """A plan whose columns are named as the view's keys and fields, and `ts`."""
    from feast import FileSource

    view = View(name, tuple(Field(*key) for key in keys.items()), tuple(Field(*field) for field in fields.items()))
    with connect(Options()) as db:
        source = look_up(FileSource(name="reports_rows", path=str(path), timestamp_field="ts"), None, db)
    return Plan(view, source, tuple(keys), tuple(fields), "ts", created, *span)


def loaded(store: rows.Store, plan: Plan, limit: int = Options().partition_bytes) -> int:
    """Define the plan's view and load it."""
    if plan.view.name not in store.views() or store.view(plan.view.name) != plan.view:
        store.define(plan.view)
    with connect(Options()) as db:
        return load(store, plan, db, limit, quiet)


def contents(store: rows.Store, plan: Plan, keys: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """For each asked key: status, event time in microseconds, and every value."""
    found = store.read(plan.view.name, keys)
    values = [found.python(field.name) for field in plan.view.fields]
    return list(zip(found.status.tolist(), found.event_us.tolist(), *values, strict=True))


@pytest.fixture
def store(tmp_path: Path) -> rows.Store:
    return rows.Store(tmp_path / "online" / "tiny")


def many(path: Path, count: int, seed: int = 7, copies: int = 2) -> Path:
    """`count` keys in random order, `copies` rows of each at random times, with nulls and integers beyond 2^53."""
    random = np.random.default_rng(seed)
    key = np.repeat(np.arange(count, dtype=np.int64) - count // 2, copies)
    random.shuffle(key)
    size = len(key)
    event = BASE_US + random.integers(0, 50, size) * 3_600_000_000 + 1
    big = 9_007_199_254_740_993 + random.integers(0, 1000, size)
    text = np.char.add("s", random.integers(0, 1000, size).astype(str))
    return write(
        path,
        {
            "airport": key,
            "ts": times(event.tolist()),
            "created": times((event + random.integers(0, 5, size) * 1_000_000).tolist()),
            "wind": pa.array(random.random(size), mask=random.random(size) < 0.1),
            "seen": pa.array(big, mask=random.random(size) < 0.1),
            "name": pa.array(text, mask=random.random(size) < 0.1),
        },
        row_group_size=max(1000, count // 4),
    )
