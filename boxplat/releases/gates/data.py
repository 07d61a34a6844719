"""The held-out rows: from code of the project, from a file, or from the table beside the model.

As arrays by name: `labels` [N]; optionally `group` [N] (equal where rows are not independent), `time` [N] (of the
decision, in seconds since the epoch) and `slice.NAME` [N]; all others are the model's inputs in order, [N, …] each.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features.audit.builder import FUNCTION
from boxplat.releases.gates.evidence import HeldOut
from boxplat.serving.backends.runner import Array
from boxplat.serving.backends.table import LABELS, NAME

GROUP, TIME, SLICE = "group", "time", "slice."
_PATIENCE = 900.0
# Milliseconds of our time lie beyond it; it is the year 5138.
_LATEST = 1e11


@dataclass(frozen=True)
class Rows:
    """The same rows for one version: what its model takes [N, …] each, and all that is not its own."""

    inputs: tuple[Array, ...]
    held_out: HeldOut

    def take(self, kept: Array) -> Rows:
        """The rows of a mask."""
        return Rows(tuple(array[kept] for array in self.inputs), self.held_out.take(kept))


def rows(data: str, folders: Sequence[Path], paths: Paths, env: Mapping[str, str], scratch: Path) -> list[Rows]:
    """The rows of each model folder, the candidate's first; all have the same labels, groups, slices and times.

    Args:
        data: the setting of that name.

    Raises:
        BoxError: there are none (exit code 4 or 9), they cannot be read (2), the code fails (1), or two versions are
            given different rows (1).
    """
    if FUNCTION.fullmatch(data):
        files = _built(data, folders, paths, env, scratch)
        origin = data
    elif data:
        files, origin = [paths.root / data] * len(folders), data
    else:
        files, origin = _beside(folders), f"{NAME} beside the model"
    found = [_read(file, origin) for file in files]
    for other in found[1:]:
        if not _same(found[0].held_out, other.held_out):
            raise BoxError(
                "the versions cannot be compared: they are given different rows",
                why=f"{origin} gives {len(found[0].held_out.labels)} and {len(other.held_out.labels)} rows, "
                "or other labels, groups, slices or times for one of them",
                fix="let it give the same rows in the same order for every model folder (docs/promotion.md)",
            )
    return found


def unseen(found: list[Rows], until: Sequence[float]) -> list[Rows]:
    """Without the rows from before the end of a version's training data.

    Raises:
        BoxError: then none are left (exit code 4).
    """
    times = found[0].held_out.times
    if times is None or not until:
        return found
    kept = np.asarray(times >= max(until))
    if not kept.any():
        raise BoxError(
            "no held-out row lies after the training data",
            why=f"{found[0].held_out.origin} ends before the end of what one of the versions was trained on",
            fix="give newer rows as `data` of the gates, or train on fewer",
            code=ExitCode.PRECONDITION,
        )
    return [one.take(kept) for one in found]


def _built(function: str, folders: Sequence[Path], paths: Paths, env: Mapping[str, str], scratch: Path) -> list[Path]:
    targets = [scratch / f"rows-{i}.npz" for i in range(len(folders))]
    jobs = [[str(folder), str(target)] for folder, target in zip(folders, targets, strict=True)]
    asked = {"function": function, "folders": [str(paths.root / "flows"), str(paths.root)], "jobs": jobs}
    log = paths.logs / "gates.log"
    with log.open("w") as output:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "boxplat.releases.gates.child"],
                input=json.dumps(asked), text=True, stdout=output, stderr=output, cwd=paths.root, env=dict(env),
                check=False, timeout=_PATIENCE,
            )  # fmt: skip
            failed = done.returncode != 0
        except subprocess.TimeoutExpired:
            output.write(f"it took longer than {_PATIENCE:g} s\n")
            failed = True
    if failed:
        lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        raise BoxError(
            f"{function} gives no held-out rows",
            why="\n".join(lines[-6:]) or "it ended without a word",
            fix="correct the function that `data` of the gates names (docs/promotion.md)",
            log=log,
        )
    return targets


def _beside(folders: Sequence[Path]) -> list[Path]:
    """The candidate's own table, and the other's where it is one of the same rows."""
    own = folders[0] / NAME
    if not own.is_file():
        raise BoxError(
            "there are no held-out rows to judge on",
            why=f"the version has no {NAME} beside it, and `data` of the gates names nothing else",
            fix='declare it in boxplat.toml: [gates.MODEL] data = "module:function"   (docs/promotion.md)',
            code=ExitCode.PRECONDITION,
        )
    first = _read(own, NAME)
    files = [own]
    for folder in folders[1:]:
        there = folder / NAME
        same = there.is_file() and _same(first.held_out, _read(there, NAME).held_out)
        files.append(there if same else own)
    return files


def _read(path: Path, origin: str) -> Rows:
    try:
        arrays = _parquet(path) if path.suffix == ".parquet" else _npz(path)
        labels = np.asarray(arrays.pop(LABELS), np.float64).reshape(-1)
        return _rows(arrays, labels, origin)
    except FileNotFoundError as error:
        fix = "correct `data` of the gates in boxplat.toml, or run the flow that writes it"
        raise BoxError(f"no file {path}", why=str(error), fix=fix, code=ExitCode.NOT_FOUND) from error
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise BoxError(
            f"the rows of {origin} cannot be read",
            why=f"{type(error).__name__}: {error}",
            fix=f"give `{LABELS}`, and an array for each input of the model   (docs/promotion.md)",
            code=ExitCode.USAGE,
        ) from error


def _npz(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def _parquet(path: Path) -> dict[str, Array]:
    """Columns that are no row's own description become one input [N, K]."""
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    inputs = [name for name in columns if name not in (LABELS, GROUP, TIME) and not name.startswith(SLICE)]
    rest = {name: values for name, values in columns.items() if name not in inputs}
    return {"inputs": np.column_stack([np.asarray(columns[name], np.float32) for name in inputs]), **rest}


def _rows(arrays: dict[str, Array], labels: Array, origin: str) -> Rows:
    groups = _comparable(arrays.pop(GROUP, np.arange(len(labels))))
    times = arrays.pop(TIME, None)
    named = [name for name in arrays if name.startswith(SLICE)]
    slices = {name.removeprefix(SLICE): _comparable(arrays.pop(name)) for name in named}
    sizes = {len(array) for array in (labels, groups, *slices.values(), *arrays.values())}
    if not arrays or len(sizes) != 1 or not len(labels) or not np.isfinite(labels).all():
        raise ValueError("at least one input, and as many finite labels, groups and slices as rows, are needed")
    known = None if times is None else _seconds(times)
    return Rows(tuple(arrays.values()), HeldOut(labels, groups, slices, origin, known))


def _seconds(times: Array) -> Array:
    """Seconds since the epoch, also of timestamps (which NumPy has without zone, in UTC)."""
    if times.dtype.kind == "M":
        times = times.astype("datetime64[us]").astype(np.float64) / 1e6
    found = np.asarray(times, np.float64)
    if not (np.abs(found) < _LATEST).all():
        raise ValueError(f"`{TIME}` is in seconds since the epoch, and each row has one")
    return found


def _comparable(values: Array) -> Array:
    """Values that equal themselves and can be sorted: what may be missing becomes text."""
    if values.dtype.kind in "iubUS":
        return values
    return np.array(["none" if value is None or value != value else str(value) for value in values.tolist()])


def _same(one: HeldOut, other: HeldOut) -> bool:
    pairs = [(one.labels, other.labels), (one.groups, other.groups)]
    pairs += [(one.slices[name], other.slices[name]) for name in one.slices if name in other.slices]
    if one.times is not None and other.times is not None:
        pairs.append((one.times, other.times))
    return one.slices.keys() == other.slices.keys() and all(np.array_equal(a, b) for a, b in pairs)
