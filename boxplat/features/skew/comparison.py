"""Served and recomputed values beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.features.database import literal, quoted
from boxplat.features.skew.features import Feature, Wanted, named

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


@dataclass(frozen=True)
class Sides:
    """The two files of one service, and how much numbers may differ (a share of their size)."""

    served: Path
    recomputed: Path
    tolerance: float

    def values(self, features: Sequence[Feature]) -> str:
        """SQL of the columns `o`, recomputed values, and `d`, whether the two differ, by feature."""
        shown = []
        for one in features:
            o = f"o{one.number}"
            shown.append(f"{one.recomputed(f'r.{quoted(one.full)}')} as {o}")
            shown.append(f"{one.differs(f's.s{one.number}', o, self.tolerance)} as d{one.number}")
        return ", ".join(shown)

    @property
    def both(self) -> str:
        """SQL of the two, `s` and `r`, joined."""
        s, r = (f"read_parquet({literal(str(path))})" for path in (self.served, self.recomputed))
        return f"{s} s join {r} r using (n)"


def counts(con: DuckDBPyConnection, sides: Sides, wanted: Wanted) -> dict[str, int]:
    """How many values of each feature differ, by its full name; in one pass over both sides."""
    sums = ", ".join(f"count(*) filter (d{feature.number})" for feature in wanted.features)
    sql = f"select {sums} from (select {sides.values(wanted.features)} from {sides.both})"
    row = con.execute(sql).fetchone()
    assert row is not None
    return {feature.full: int(count) for feature, count in zip(wanted.features, row, strict=True)}


def differing(con: DuckDBPyConnection, sides: Sides, wanted: Wanted, view: str, table: str) -> None:
    """A table of the predictions of which a view's values differ: everything about them, and whether a value of the
    view is the same (`same`)."""
    features = wanted.views()[view]
    keys = f", {named(wanted.keys, 's.')}" if wanted.keys else ""
    e = f"s.e{wanted.ages[view]}" if view in wanted.ages else "null::BIGINT"
    own = ", ".join(f"s.s{one.number}, s.u{one.number}" for one in features)
    anything = " or ".join(f"d{one.number}" for one in features)
    same = " or ".join(f"(not d{one.number} and s{one.number} is not null)" for one in features)
    sql = (
        f"select s.n, s.id, s.nth, epoch_us(s.came) as came, epoch_us(s.moment) as moment, s.release{keys}, "
        f"{e} as e, {own}, {sides.values(features)} from {sides.both}"
    )
    con.execute(f"create or replace temp table {table} as select *, ({same}) as same from ({sql}) where {anything}")
