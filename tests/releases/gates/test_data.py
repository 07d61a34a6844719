"""Held-out rows: what is read of them, what is the same for all versions, and what makes no sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.releases.gates import data

LABELS = np.array([0.0, 1.0, 1.0])


def rows(project: Path, named: str, *folders: Path) -> list[data.Rows]:
    return data.rows(named, folders or (project,), Paths(project), {}, project)


def test_parquet_columns_are_one_input_and_missing_slices_have_a_name(project: Path) -> None:
    table = {"a": [1, 2, 3], "labels": [0, 1, 1], "b": [0.5, None, 1.5], "slice.kind": ["x", None, "x"]}
    pq.write_table(
        pa.table({**table, "slice.size": [1.0, None, 2.0], "group": ["m", None, "m"]}), project / "r.parquet"
    )
    found = rows(project, "r.parquet")[0]
    assert found.inputs[0].shape == (3, 2) and found.inputs[0].dtype == np.float32 and np.isnan(found.inputs[0][1, 1])
    assert found.held_out.slices["kind"].tolist() == ["x", "none", "x"]
    assert found.held_out.slices["size"].tolist() == ["1.0", "none", "2.0"]
    assert found.held_out.groups.tolist() == ["m", "none", "m"]


def test_the_table_beside_the_model_is_shared_where_the_other_version_has_other_rows(project: Path) -> None:
    mine, same, other = (project / name for name in ("mine", "same", "other"))
    for folder, labels, shift in ((mine, LABELS, 0), (same, LABELS, 1), (other, 1 - LABELS, 2)):
        folder.mkdir()
        np.savez(folder / "calibration.npz", x=np.full((3, 2), shift), labels=labels)
    found = rows(project, "", mine, same, other)
    assert [one.inputs[0][0, 0] for one in found] == [0, 1, 0]


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((3, 1))}, "labels"),
        ({"labels": LABELS}, "at least one input"),
        ({"labels": LABELS, "x": np.zeros((2, 1))}, "as many"),
        ({"labels": np.array([0.0, np.nan, 1.0]), "x": np.zeros((3, 1))}, "finite"),
        ({"labels": LABELS, "x": np.zeros((3, 1)), "group": np.zeros(4)}, "as many"),
    ],
)
def test_rows_that_make_no_sense_are_told(project: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    np.savez(project / "r.npz", **arrays)
    with pytest.raises(BoxError) as caught:
        rows(project, "r.npz")
    assert caught.value.code is ExitCode.USAGE and says in caught.value.why


def test_a_pickle_among_the_arrays_is_not_read(project: Path) -> None:
    np.savez(project / "r.npz", labels=LABELS, x=np.array([{}, 1, "a"], dtype=object))
    with pytest.raises(BoxError, match="cannot be read"):
        rows(project, "r.npz")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_are_seconds_and_rows_of_the_training_time_are_left_out(project: Path, unit: str) -> None:
    times = pa.array([0, 86_400, 2 * 86_400], pa.int64()).cast(pa.timestamp("s", "UTC")).cast(pa.timestamp(unit, "UTC"))
    pq.write_table(pa.table({"a": [1, 2, 3], "labels": [0, 1, 1], "time": times}), project / "r.parquet")
    found = rows(project, "r.parquet")
    assert found[0].held_out.times is not None and found[0].held_out.times.tolist() == [0, 86_400, 172_800]
    kept = data.unseen(found, [100.0])[0]
    assert kept.held_out.left_out == 1 and kept.inputs[0].tolist() == [[2.0], [3.0]]


def test_milliseconds_and_missing_times_are_refused(project: Path) -> None:
    for times in ([1.4e12] * 3, [0.0, float("nan"), 1.0]):
        np.savez(project / "r.npz", labels=LABELS, x=np.zeros((3, 1)), time=np.array(times))
        with pytest.raises(BoxError, match="cannot be read") as caught:
            rows(project, "r.npz")
        assert "seconds since the epoch" in caught.value.why
