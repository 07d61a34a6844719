"""Rows to calibrate on: real inputs, and their labels where there are any."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.serving.backends.runner import Array

NAME = "calibration.npz"
"""The table that a flow puts beside its model: `labels` [N], and one array [N, …] for each input in their order."""
LABELS = "labels"
_MOST = 10_000


@dataclass(frozen=True)
class Table:
    """`inputs`: one array [N, …] for each input of the model; `labels` [N] or None; `origin`: where they come from."""

    inputs: tuple[Array, ...]
    labels: Array | None
    origin: str

    def __len__(self) -> int:
        return len(self.inputs[0])


def find(folder: Path, data: Path | None) -> Table:
    """The rows given, else the table beside the model, else the example that MLflow keeps (a few rows, no labels).

    Args:
        data: `.npz` as described at `NAME`, or Parquet: the column `labels`, and the others in the model's order.

    Raises:
        BoxError: there are none (exit code 4), or they cannot be read (2).
    """
    try:
        if data is not None:
            return _parquet(data) if data.suffix == ".parquet" else _npz(data, str(data))
        if (folder / NAME).is_file():
            return _npz(folder / NAME, NAME)
        if (folder / "serving_input_example.json").is_file():
            return _example(folder / "serving_input_example.json")
    except (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BoxError(
            f"the rows in {data or folder} cannot be read",
            why=f"{type(error).__name__}: {error}",
            fix=f"write them with numpy.savez: `{LABELS}` and an array for each input   (docs/backends.md)",
            code=ExitCode.USAGE,
        ) from error
    raise BoxError(
        "there are no rows to check answers on",
        why=f"the model has neither {NAME} nor an input example beside it",
        fix="box models calibrate NAME --data ROWS.npz   (docs/backends.md says what is in it)",
        code=ExitCode.PRECONDITION,
    )


def save(path: str | Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays by name as `.npz`, without pickle."""
    plain: dict[str, Any] = dict(arrays)
    np.savez(path, allow_pickle=False, **plain)


def _npz(path: Path, origin: str) -> Table:
    with np.load(path, allow_pickle=False) as found:
        arrays = {name: found[name] for name in found.files}
    labels = arrays.pop(LABELS, None)
    return _table(list(arrays.values()), labels, origin)


def _parquet(path: Path) -> Table:
    import pyarrow.parquet as pq

    found = pq.read_table(path)
    columns = {name: found.column(name).to_numpy() for name in found.column_names}
    labels = columns.pop(LABELS, None)
    return _table([np.column_stack([np.asarray(c, np.float32) for c in columns.values()])], labels, str(path))


def _example(path: Path) -> Table:
    inputs = json.loads(path.read_text(encoding="utf-8"))["inputs"]
    several = inputs.values() if isinstance(inputs, dict) else [inputs]
    arrays = [np.asarray(value) for value in several]
    narrow = [array.astype(np.float32) if array.dtype == np.float64 else array for array in arrays]
    return _table(narrow, None, "the model's input example")


def _table(inputs: list[Array], labels: Array | None, origin: str) -> Table:
    sizes = {len(array) for array in (*inputs, *([] if labels is None else [labels]))}
    if len(sizes) != 1 or not sizes.pop():
        raise ValueError("the arrays must have the same number of rows, at least one")
    kept = tuple(array[:_MOST] for array in inputs)
    if labels is not None:
        # A column [N, 1] against answers [N] would be compared as [N, N].
        labels = np.asarray(labels, np.float64).reshape(len(labels))[:_MOST]
    return Table(kept, labels, origin)
