"""The training table in memory, and the chronological split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from flights.sources import connect
from flights.training_set import CATEGORICAL, NUMERIC

TRAIN, VALIDATION, TEST = range(1, 8), range(8, 9), range(9, 13)
"""Months of the split, strictly by time: train on January to July, choose on August, judge on September to December."""


def split(last: int) -> tuple[range, range, range]:
    """Months to train on, to choose on and to judge on when `last` is the last one whose outcomes are known."""
    return range(1, last), range(last, last + 1), range(max(TEST.start, last + 1), TEST.stop)


@dataclass(frozen=True)
class Rows:
    """N flights: `numeric` float32 [N, 49] with NaN for missing, `category` name -> str [N], `y` [N] 0/1 (NaN unknown),
    `month` [N], `sched` [N] minutes UTC, `id` [N]."""

    numeric: np.ndarray[Any, Any]
    category: dict[str, np.ndarray[Any, Any]]
    y: np.ndarray[Any, Any]
    month: np.ndarray[Any, Any]
    sched: np.ndarray[Any, Any]
    id: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, index: np.ndarray[Any, Any] | slice) -> Rows:
        """The rows of a mask, of positions or of a slice."""
        return Rows(
            self.numeric[index],
            {name: values[index] for name, values in self.category.items()},
            *(values[index] for values in (self.y, self.month, self.sched, self.id)),
        )

    def months(self, wanted: Iterable[int]) -> Rows:
        """The rows of some months."""
        return self.take(np.isin(self.month, list(wanted)))


def load(path: Path, where: str = "y is not null") -> Rows:
    """Read rows of the training table (Parquet) in order of time; by default the labelled ones."""
    con = connect()
    wanted = ", ".join(dict.fromkeys((*NUMERIC, *CATEGORICAL, "y", "month", "sched", "id")))
    query = f"select {wanted} from read_parquet(?) where {where} order by sched, id"
    columns = con.execute(query, [str(path)]).fetchnumpy()
    con.close()
    return Rows(
        np.column_stack([_floats(columns[name]) for name in NUMERIC]),
        {name: np.asarray(columns[name], dtype=str) for name in CATEGORICAL},
        _floats(columns["y"]),
        *(np.asarray(columns[name], dtype=np.int64) for name in ("month", "sched", "id")),
    )


def _floats(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """float32 with NaN where DuckDB says null (it returns masked arrays)."""
    return np.ma.filled(np.ma.asarray(values).astype(np.float32), np.nan)
