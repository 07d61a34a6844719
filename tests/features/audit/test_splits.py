"""The two splits and the single-column figures, on data whose answers are known."""

from __future__ import annotations

import duckdb
import pytest

from boxplat.features.audit import sampling, splits


def learnt(sql: str, columns: tuple[str, ...]) -> splits.Sample:
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'; set threads = 1")
    table = sampling.numbered(
        f"(select timestamptz '2026-01-01' + to_minutes(i::int) as due, {sql} from range(4000) t(i))"
    )
    return splits.sample(con, table, "due", "y", columns, seed=0)


def test_a_random_split_flatters_where_days_differ() -> None:
    """The label is the same for 40 rows in a row and the clock tells which: of no use for the days to come."""
    rows = learnt("i as clock, (hash(i // 40) % 2)::int as y", ("clock",))
    found = splits.optimism(rows, 0)
    assert found is not None and found.metric == "AUC" and found.rows == 4000
    assert found.random > 0.9 and found.chronological < 0.6 and found.difference > 0.3


def test_no_optimism_where_rows_do_not_depend_on_time() -> None:
    rows = learnt("(hash(i, 1) % 100)::int as x, (hash(i, 2) % 100 < hash(i, 1) % 100)::int as y", ("x",))
    found = splits.optimism(rows, 0)
    assert found is not None and abs(found.difference) < 0.05 and found.random > 0.75


def test_one_column_alone() -> None:
    rows = learnt(
        "(hash(i) % 2)::int as y, case when y = 0 then i end as absent, -y as mirrored, "
        "(hash(i, 3) % 9)::int as noise, 'word' as word",
        ("absent", "mirrored", "noise", "word"),
    )
    assert splits.alone(rows, "absent") == splits.alone(rows, "mirrored") == 1.0
    noise = splits.alone(rows, "noise")
    assert noise is not None and noise < 0.55 and splits.alone(rows, "word") is None


@pytest.mark.parametrize(
    ("sql", "metric"),
    [
        ("i / 7.0 as x, sqrt(i) as y", "R2"),
        ("i as x, 'c' || i % 3 as y", "accuracy"),
        ("'t' || i % 2 as x, i % 2 = 0 as y", "AUC"),
    ],
)
def test_metric_fits_the_label(sql: str, metric: str) -> None:
    found = splits.optimism(learnt(sql, ("x",)), 0)
    assert found is not None and found.metric == metric


def test_nothing_to_learn_from() -> None:
    assert splits.optimism(learnt("i as x, 1 as y", ("x",)), 0) is None
    assert splits.optimism(learnt("[i] as x, i % 2 as y", ("x",)), 0) is None
