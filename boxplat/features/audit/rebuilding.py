"""The sampled rows built again: from sources that end at their decision time, from none, and from all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.audit import sources
from boxplat.features.audit.builder import Build
from boxplat.features.audit.comparison import Row, by_key
from boxplat.features.audit.declaration import Declaration
from boxplat.features.audit.mirror import Mirror
from boxplat.features.audit.report import Hidden
from boxplat.features.audit.sampling import Moment

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

PLANTED = "__box_planted"
Built = Mapping[tuple[Any, ...], Row]


@dataclass
class Rebuilding:
    """The code under audit beside its cut sources. `schema` is that of the rows that it is asked for."""

    con: duckdb.DuckDBPyConnection
    said: Declaration
    mirror: Mirror
    build: Build
    schema: pa.Schema
    scratch: Path
    losses: dict[str, list[sources.Cut]] = field(default_factory=dict)

    def at(self, moment: Moment) -> Built:
        """Rows of one decision time, built from what was known then, each with the newest thing known as `PLANTED`."""
        self.mirror.clear()
        for source in self.said.sources:
            cut = sources.cut(self.con, source, moment.time_us, self.mirror.place)
            self.losses.setdefault(source.name, []).append(cut)
        newest = sources.newest(self.con, self.said.sources, self.mirror.place)
        return {key: {**row, PLANTED: newest} for key, row in self._rows(moment.rows).items()}

    def from_nothing(self, rows: Sequence[Row]) -> Built:
        """The rows built from sources without a row."""
        self.mirror.clear()
        for source in self.said.sources:
            sources.empty(self.con, source, self.mirror.place)
        return self._rows(rows)

    def from_everything(self, rows: Sequence[Row]) -> Built:
        """The rows built from the sources as they are."""
        return by_key(self.table_from_everything(self._wanted(rows)).to_pylist(), self.said.row)

    def table_from_everything(self, wanted: pa.Table) -> pa.Table:
        """`from_everything` as a table."""
        self.mirror.clear()
        self.mirror.link(self.said.sources)
        return self._built(wanted)

    def hidden(self) -> list[Hidden]:
        """What was hidden so far, by source."""
        return [
            Hidden(name, sum(one.rows for one in cuts), sum(one.values for one in cuts))
            for name, cuts in self.losses.items()
        ]

    def _rows(self, rows: Sequence[Row]) -> Built:
        return by_key(self._built(self._wanted(rows)).to_pylist(), self.said.row)

    def _wanted(self, rows: Sequence[Row]) -> pa.Table:
        import pyarrow as pa

        return pa.Table.from_pylist([{name: row[name] for name in self.schema.names} for row in rows], self.schema)

    def _built(self, wanted: pa.Table) -> pa.Table:
        import pyarrow.parquet as pq

        rows, out = self.scratch / "wanted.parquet", self.scratch / "built.parquet"
        out.unlink(missing_ok=True)
        pq.write_table(wanted, rows)
        self.build(self.mirror.folder(self.said.sources), rows, out)
        found = pq.read_table(out)
        lacking = [name for name in self.said.row if name not in found.column_names]
        if lacking:
            raise BoxError(
                f"{self.said.build} returned rows without {lacking[0]!r}",
                why=f"rows are found again by {', '.join(self.said.row)}; it returned {', '.join(found.column_names)}",
                fix="let it return the columns that name a row, or name others with --row",
                code=ExitCode.USAGE,
            )
        return found
