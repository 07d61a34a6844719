"""The same honest rows for every version, and the set with hindsight that the gates must refuse."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from flights import dataset, gated, hindsight

from tests.sample.conftest import Sample

pytestmark = pytest.mark.integration


def test_held_out_rows_are_the_test_months_as_the_model_takes_them(
    featured: Sample, champion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flights.package import Packaged

    monkeypatch.setenv("BOXPLAT_DATA", str(featured.data))
    found = gated.held_out(champion)
    rows = dataset.load(featured.data / "training" / "training.parquet").months(dataset.TEST)
    assert np.array_equal(found["labels"], rows.y)
    some = slice(0, None, 500)
    packaged = Packaged.load(champion)
    import torch

    with torch.no_grad():
        given = packaged.net(torch.from_numpy(found["rows"][some])).numpy()
    assert np.allclose(given, packaged.predict(rows.take(some)), atol=1e-6)
    # A group is a day of New York: 122 of them, and no month ends within one.
    months = [set(found["slice.month"][found["group"] == day]) for day in np.unique(found["group"])]
    assert len(months) == 122 and all(len(some) == 1 for some in months)
    assert (found["time"] // 60 + 60 == rows.sched).all()


def test_hindsight_changes_two_columns_and_tells_who_never_left(featured: Sample) -> None:
    honest = pq.read_table(featured.data / "training" / "training.parquet")
    spoilt = hindsight.spoilt(honest, featured.data / "raw")
    assert spoilt.column_names == honest.column_names and len(spoilt) == len(honest)
    con = duckdb.connect()
    con.register("honest", honest)
    con.register("spoilt", spoilt)
    differing = [
        name
        for name in honest.column_names
        if con.execute(
            f'select count(*) from honest h join spoilt s using (id) where h."{name}" is distinct from s."{name}"'
        ).fetchall()[0][0]
    ]
    assert sorted(differing) == ["mins", "sched_el"]
    assert con.execute("select count(*), min(y) from spoilt where sched_el is null").fetchall() == [(8255, 1)]
