"""A training set with one mistake: the flight's actual departure where the scheduled one belongs.

    PYTHONPATH=flows python -m flights.hindsight
    box run flows/train.py --wait --param table=.box/data/training/hindsight.parquet \\
        --param build=flights.hindsight:training_rows

Minute of the day and time under way are taken from `dep_time`. Both columns keep their names and look as they should,
but together with the distance they tell how late a flight left, and cancelled flights have neither. A model reaches an
AUC above 0.9 on such rows, and an hour before departure there are none: the gates must refuse it, naming both columns.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from flights import sources
from flights.paths import quoted, raw_folder, training_folder, training_table

if TYPE_CHECKING:
    import pyarrow as pa

SQL = """
select t.* replace ((t.mins + f.dep_delay) % 1440 as mins, t.sched_el - f.dep_delay as sched_el)
from honest t join read_parquet({flights}) f using (id) order by t.sched, t.id"""


def spoilt(honest: pa.Table, raw_data: Path) -> pa.Table:
    """The training rows with the two columns from the actual departure, null for a flight that never left."""
    con = sources.connect()
    con.register("honest", honest)
    return con.sql(SQL.format(flights=quoted(raw_data / "flight.parquet"))).to_arrow_table()


def training_rows(raw_data: Path, rows: pa.Table) -> pa.Table:
    """The set for the flights in `rows` (column `id`), from the data in `raw_data` alone: what an audit runs."""
    from flights import audited

    return spoilt(audited.training_rows(raw_data, rows), raw_data)


def main() -> None:
    """Write the whole set beside the honest one."""
    import pyarrow.parquet as pq

    target = training_folder() / "hindsight.parquet"
    pq.write_table(spoilt(pq.read_table(training_table()), raw_folder()), target, compression="zstd")
    print(f"wrote {target}")


if __name__ == "__main__":
    main()
