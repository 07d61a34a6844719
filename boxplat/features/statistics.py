"""How a column's values are distributed: shares, quantiles and a histogram, by DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.features.database import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS = 30
TOP = 10
LONGEST = 80
# Beyond this many times the span of the middle 98 %, the ends of a range say nothing of its middle.
_FAR = 2.5
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"}


@dataclass(frozen=True)
class Histogram:
    """Counts between `edges`, one more than there are counts; `below` and `above`: values outside of them."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]
    below: int = 0
    above: int = 0


@dataclass(frozen=True)
class Distribution:
    """The values of a column.

    Attributes:
        kind: `number` (as float64), `time` (seconds since the epoch), `length` (of a list), `category`, or `other`, of
            which only the nulls are counted.
        rows, nulls: rows that were looked at, and those without a value.
        odd: NaN and infinite numbers; they are in none of the figures below.
        distinct: different values; minimum, maximum, mean, deviation (of the sample), quantiles by their share.
        top: the commonest values of a category, cut to 80 characters, with their counts.
    """

    kind: str
    rows: int
    nulls: int
    odd: int = 0
    distinct: int | None = None
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    deviation: float | None = None
    quantiles: dict[str, float] | None = None
    histogram: Histogram | None = None
    top: tuple[tuple[str, int], ...] = ()


def distribution(con: DuckDBPyConnection, table: str, column: str, duckdb_type: str) -> Distribution:
    """The distribution of a column.

    Args:
        table: what stands behind FROM.
        duckdb_type: the column's type.
    """
    kind, value = _as_number(quoted(column), duckdb_type)
    rows, nulls = first_row(con, f"SELECT count(*), count(*) - count({quoted(column)}) FROM {table}")
    if kind in ("other", "category"):
        return _category(con, table, column, rows, nulls) if kind == "category" else Distribution(kind, rows, nulls)
    finite = f"(SELECT x FROM (SELECT {value} AS x FROM {table}) WHERE isfinite(x))"
    count, distinct, low, high, mean, deviation, points = first_row(
        con,
        f"SELECT count(*), count(DISTINCT x), min(x), max(x), avg(x), stddev_samp(x),"
        f" quantile_cont(x, {list(QUANTILES)}) FROM {finite}",
    )
    if not count:
        return Distribution(kind, rows, nulls, odd=rows - nulls, distinct=0)
    quantiles = dict(zip(map(str, QUANTILES), points, strict=True))
    edges = _edges(low, high, (points[0], points[-1]), kind == "length" or duckdb_type in _WHOLE)
    histogram = _histogram(con, finite, edges)
    return Distribution(
        kind, rows, nulls, rows - nulls - count, distinct, low, high, mean, deviation, quantiles, histogram
    )


def _as_number(column: str, kind: str) -> tuple[str, str]:
    """What kind of values a type holds, and SQL for them as float64."""
    if kind in _WHOLE or kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return "number", f"CAST({column} AS DOUBLE)"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return "time", f"CAST(epoch(CAST({column} AS TIMESTAMP)) AS DOUBLE)"
    if kind.endswith("]"):
        return "length", f"CAST(len({column}) AS DOUBLE)"
    return ("category", "") if kind in ("VARCHAR", "BOOLEAN", "UUID") or kind.startswith("ENUM") else ("other", "")


def _category(con: DuckDBPyConnection, table: str, column: str, rows: int, nulls: int) -> Distribution:
    name = quoted(column)
    (distinct,) = first_row(con, f"SELECT count(DISTINCT {name}) FROM {table}")
    top = con.execute(
        f"SELECT left(CAST({name} AS VARCHAR), {LONGEST}), count(*) FROM {table} WHERE {name} IS NOT NULL"
        f" GROUP BY {name} ORDER BY 2 DESC, 1 LIMIT {TOP}"
    ).fetchall()
    return Distribution("category", rows, nulls, distinct=distinct, top=tuple((text, count) for text, count in top))


def _edges(low: float, high: float, middle: tuple[float, float], whole: bool) -> list[float]:
    """Edges of equal width over all values, or over the middle 98 % where single values lie far from them."""
    span = middle[1] - middle[0]
    if span > 0 and high - low > _FAR * span:
        low, high = middle
    if whole:
        low, high = float(round(low)), float(round(high))
        width = max(-(-(high - low + 1) // BINS), 1.0)
        return [low - 0.5 + width * index for index in range(int(-(-(high - low + 1) // width)) + 1)]
    if low == high or low + (high - low) / BINS == low:
        return [low, high]
    return [low + (high - low) / BINS * index for index in range(BINS)] + [high]


def _histogram(con: DuckDBPyConnection, finite: str, edges: list[float]) -> Histogram:
    bins, low, high = len(edges) - 1, edges[0], edges[-1]
    # The last bin holds its upper edge; where rounding would put a value beside its bin, the nearest one takes it.
    place = f"least(CAST(floor((x - {low!r}) / ({high!r} - {low!r}) * {bins}) AS BIGINT), {bins - 1})"
    if low == high:
        place = "0"
    found = con.execute(
        f"SELECT CASE WHEN x < {low!r} THEN -1 WHEN x > {high!r} THEN {bins} ELSE {place} END AS bin, count(*)"
        f" FROM {finite} GROUP BY bin"
    ).fetchall()
    counts = dict(found)
    return Histogram(
        tuple(edges), tuple(counts.get(index, 0) for index in range(bins)), counts.get(-1, 0), counts.get(bins, 0)
    )


def first_row(con: DuckDBPyConnection, statement: str) -> tuple[Any, ...]:
    """The first row of a statement that has one."""
    row: tuple[Any, ...] = con.execute(statement).fetchall()[0]
    return row
