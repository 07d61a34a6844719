"""The real files: the known traps of the data, and that broken data are refused."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from flights import sources, traps


def test_every_known_fact_holds(loaded: duckdb.DuckDBPyConnection) -> None:
    assert len(traps.check(loaded)) == len(traps.TRAPS)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("update flight set arr = arr + 60 where id = 1", "both clocks agree"),
        ("update flight set air_time = air_time + 600 where id = 1", "zones are right"),
        ("update flight set dep = sched where tail is null and id < 2000", "missing tail number"),
        ("insert into weather select * from weather limit 1", "one row per airport and hour"),
    ],
)
def test_broken_data_are_refused_by_name(loaded: duckdb.DuckDBPyConnection, damage: str, named: str) -> None:
    loaded.execute("begin transaction")
    try:
        loaded.execute(damage)
        with pytest.raises(traps.TrapError, match=named):
            traps.check(loaded)
    finally:
        loaded.execute("rollback")


def test_other_bytes_than_published_are_refused(tmp_path: Path) -> None:
    (tmp_path / "weather.csv").write_text("origin\n")
    with pytest.raises(sources.SourceError, match=r"weather\.csv: SHA-256 is"):
        sources.check_digests(tmp_path, {"weather.csv": sources.SHA256["weather.csv"]})


def test_labels_by_month(loaded: duckdb.DuckDBPyConnection) -> None:
    found = loaded.execute("select round(100 * avg(y), 1) from flight group by month order by month").fetchall()
    expected = [25.0, 27.6, 25.9, 30.4, 24.2, 34.0, 34.4, 25.8, 15.1, 18.2, 18.8, 36.0]
    assert [share for (share,) in found] == expected


def test_weather_counts_as_known_an_hour_after_its_stamp(loaded: duckdb.DuckDBPyConnection) -> None:
    late = loaded.execute(
        "select distinct w.ts - epoch(r.time_hour) / 60 from weather w join raw_weather r "
        "on w.origin = r.origin and w.ts = (epoch(r.time_hour) / 60)::bigint + 60"
    ).fetchall()
    assert late == [(60,)]


def test_a_departure_after_midnight_is_not_a_day_early(loaded: duckdb.DuckDBPyConnection) -> None:
    gaps = loaded.execute(
        "select min(f.dep - f.sched), max(f.dep - f.sched), count(*) filter (raw.dep_time < raw.sched_dep_time - 1000) "
        "from flight f join raw using (id) where f.dep is not null"
    ).fetchall()[0]
    assert gaps[0] == -43 and gaps[1] == 1301 and gaps[2] > 0


def test_no_show_and_late_departure_look_alike_until_known(loaded: duckdb.DuckDBPyConnection) -> None:
    both = loaded.execute("select count(*) filter (dep is null), count(*) filter (dep > sched + 180) from no_shows")
    cancelled, very_late = both.fetchall()[0]
    assert cancelled == 8255 and very_late > 0
    steps = loaded.execute("select sum(step), count(*), max(ts - sched), min(ts - sched) from backlog").fetchall()[0]
    assert steps == (0, 2 * 336_776, 180, 0)
