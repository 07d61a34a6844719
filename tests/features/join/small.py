"""Small histories in Parquet files, and the ways in which a join can be made to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from boxplat.features.join import History, Options, join

PLANS = ("sort", "lookback", "sql")
NOON = datetime(2024, 3, 10, 12, tzinfo=UTC)
US = pa.timestamp("us", "UTC")


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def wrote(folder: Path, *parts: pa.Table, **further: Any) -> History:
    """A history of these part files: key `k`, time `t`, feature `v`, creation time `c` where there is one."""
    paths = tuple(str(folder / f"part-{index}.parquet") for index in range(len(parts)))
    for path, part in zip(paths, parts, strict=True):
        pq.write_table(part, path, row_group_size=2, use_dictionary=False)
    names = [name for part in parts for name in part.column_names]
    created = "c" if "c" in names else None
    base = History("view", "t", (("v", "v"),), (("k", "k"),) if "k" in names else (), paths, created=created)
    return replace(base, **further)


def asked(keys: Any, times: Any, kind: pa.DataType | None = US) -> pa.Table:
    return pa.table({"k": keys, "when": pa.array(times, kind)})


def answers(entity: pa.Table, history: History, **options: Any) -> list[Any]:
    """The feature `v`, by each plan in turn; they must agree."""
    found = [by_plan(entity, [history], plan, **options).column("v") for plan in PLANS]
    for other in found[1:]:
        assert other.type == found[0].type
        assert repr(other.to_pylist()) == repr(found[0].to_pylist())
    return list(found[0].to_pylist())


def by_plan(entity: pa.Table, histories: Sequence[History], plan: str | None, **options: Any) -> pa.Table:
    return join(entity, "when", histories, Options(plan=plan, **options))
