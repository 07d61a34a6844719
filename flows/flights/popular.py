"""The column set of many tutorials on these data, which contains the outcome: a set that an audit must refuse.

    PYTHONPATH=flows python -m flights.popular
    box features audit .box/data/training/popular.parquet --build flights.popular:build

It joins each flight with the weather of its hour and keeps the flight's own `dep_time`, `dep_delay` and `air_time`. A
model reaches an AUC of 0.96 with them; an hour before departure none of them is known.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flights import sources
from flights.paths import quoted, raw_folder, training_folder
from flights.timetable import as_timestamp
from flights.training_set import LEAD

if TYPE_CHECKING:
    import pyarrow as pa

SQL = f"""
select f.id, {as_timestamp(f"sched - {LEAD}")} as event_timestamp, y,
  (mins + dep_delay) % 1440 // 60 * 100 + (mins + dep_delay) % 60 as dep_time, dep_delay, air_time,
  month, dow, mins // 60 as hour, distance, carrier, f.origin, dest,
  temp, dewp, humid, wind_speed, precip, pressure, visib
from flight f left join weather w on f.origin = w.origin and f.sched // 60 * 60 = w.ts - 60"""


def build(raw_data: Path, rows: pa.Table | None = None) -> pa.Table:
    """The set for the flights in `rows` (column `id`), or for all."""
    con = sources.connect()
    for name in ("flight", "weather"):
        con.execute(f"create view {name} as select * from read_parquet({quoted(raw_data / f'{name}.parquet')})")
    if rows is not None:
        con.register("wanted", rows)
    some = " where id in (select id from wanted)" if rows is not None else ""
    return con.sql(f"select * from ({SQL}){some} order by id").to_arrow_table()


def main() -> None:
    """Write the whole set beside the honest one."""
    import pyarrow.parquet as pq

    target = training_folder() / "popular.parquet"
    pq.write_table(build(raw_folder()), target)
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
