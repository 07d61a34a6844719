"""What a Parquet file holds, wherever its rows stand in it."""

from __future__ import annotations

from pathlib import Path

from boxplat.features.database import Defaults, connect, literal


def contents(path: Path) -> str:
    """The columns with their types, the number of rows, and a checksum of all rows that does not depend on their order.

    Two files with the same text hold the same rows, up to a chance of one in 2^64.

    Raises:
        duckdb.Error: it is no Parquet file.
    """
    source = f"read_parquet({literal(str(path))})"
    with connect(Defaults()) as con:
        columns = con.execute(f"select column_name, column_type from (describe select * from {source})").fetchall()
        found = con.execute(f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from {source} t").fetchone()
    rows, checksum = found or (0, 0)
    return f"{rows} rows, {' '.join(f'{name}:{kind}' for name, kind in columns)}, {checksum:x}"
