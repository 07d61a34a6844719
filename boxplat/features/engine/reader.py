"""A view's source, read by DuckDB one column at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from boxplat.features.database import is_remote, literal, quoted
from boxplat.features.engine.failures import changed, readable
from boxplat.features.engine.heads import Heads, heads_of
from boxplat.features.engine.plan import Plan
from boxplat.features.offline.times import instant, micros

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

# The years that DuckDB's time literals can hold with room to spare.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999


class Reader:
    """The rows of a plan's source within its range of event times and with whole keys, always in the same order.

    Attributes:
        rows: how many there are.
        whole: whether they are all rows of the source.

    Raises:
        BoxError: a file that cannot be read, or a column that holds no times.
    """

    def __init__(self, plan: Plan, db: DuckDBPyConnection) -> None:
        self._plan = plan
        self._db = db
        with readable(plan):
            # A row's position must mean the same in each query.
            self._db.execute("SET preserve_insertion_order = true")
            where = f" WHERE {self._range()}"
            self._total = self._count("")
            self.rows = self._count(where)
        self.whole = self.rows == self._total
        # Where all rows are wanted the condition need not be evaluated again for each column.
        self._where = "" if self.whole else where

    def heads(self) -> Heads:
        """Keys and times of all rows."""
        with readable(self._plan):
            return heads_of(self._plan, map(self._column, self._heads()))

    def column(self, index: int) -> pa.ChunkedArray:
        """All values of the view's field number `index`."""
        with readable(self._plan):
            return self._column(self._value(self._plan.features[index]))

    def batches(self, rows: int) -> Iterator[pa.Table]:
        """The rows in pieces: the key's columns, event time, created time if there is one, then the features."""
        import pyarrow as pa

        query = self._query([*self._heads(), *map(self._value, self._plan.features)])
        with readable(self._plan):
            for batch in self._db.sql(query).to_arrow_reader(rows):
                yield pa.Table.from_batches([batch])

    def bytes(self) -> int:
        """About how much the rows take as columns, in bytes; rather too much than too little."""
        files = self._plan.source.files
        columns = self.rows * 8 * (len(self._plan.features) + len(self._plan.keys) + 2)
        if not files or is_remote(files[0]):
            return columns
        sizes = f"SELECT sum(total_uncompressed_size) FROM parquet_metadata([{', '.join(map(literal, files))}])"
        with readable(self._plan):
            stored = int(self._db.sql(sizes).fetchall()[0][0] or 0)
        return max(columns, stored * self.rows // max(self._total, 1))

    def _column(self, value: str) -> pa.ChunkedArray:
        found = self._db.sql(self._query([value])).to_arrow_table().column(0)
        if len(found) != self.rows:
            raise changed(self._plan)
        return found

    def _count(self, where: str) -> int:
        return int(self._db.sql(f"SELECT count(*) FROM {self._plan.source.relation}{where}").fetchall()[0][0])

    def _query(self, columns: Sequence[str]) -> str:
        named = ", ".join(f"{column} AS c{index}" for index, column in enumerate(columns))
        return f"SELECT {named} FROM {self._plan.source.relation}{self._where}"

    def _range(self) -> str:
        """Rows without a key are nobody's."""
        source, name = self._plan.source, self._plan.timestamp
        zoned = source.types[name] in ("TIMESTAMP WITH TIME ZONE", "VARCHAR")
        make = "make_timestamptz" if zoned else "make_timestamp"
        first, after = (min(max(us, _FIRST_US), _LAST_US) for us in (self._plan.start_us, self._plan.end_us + 1))
        value = instant(source, name)
        known = "".join(f" AND {quoted(key)} IS NOT NULL" for key in self._plan.keys)
        return f"{value} >= {make}({first}) AND {value} < {make}({after}){known}"

    def _heads(self) -> list[str]:
        plan = self._plan
        created = [] if plan.created is None else [micros(plan.source, plan.created)]
        return [*map(self._value, plan.keys), micros(plan.source, plan.timestamp), *created]

    def _value(self, name: str) -> str:
        # The codes of an enumeration differ from file to file.
        return f"{quoted(name)}::VARCHAR" if self._plan.source.types[name].startswith("ENUM") else quoted(name)
