"""Predictions of a batch, as Parquet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Scored:
    """Flights `id` [N] with their `probability` [N], the decision `threshold` and the model's version."""

    id: np.ndarray[Any, Any]
    probability: np.ndarray[Any, Any]
    threshold: float
    model_version: int

    def write(self, folder: Path, name: str) -> Path:
        """Write `<name>.parquet` to `folder`, replacing it in one step; returns its path."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.table(
            {
                "id": self.id,
                "probability": self.probability,
                "late": self.probability >= self.threshold,
                "model_version": np.full(len(self.id), self.model_version, dtype=np.int32),
            }
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path, part = folder / f"{name}.parquet", folder / f"{name}.parquet.part"
        pq.write_table(table, part)
        part.replace(path)
        return path
