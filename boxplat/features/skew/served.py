"""What was served: the log's predictions as one Parquet file with a typed column for each feature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.features.database import literal, quoted
from boxplat.features.skew.features import Names, Wanted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Predictions that are looked at to see which names the log has.
_SEEN = 2000
# Seconds; no row has an age beyond them.
_OLDEST = 1e11


@dataclass(frozen=True)
class Part:
    """The predictions of one feature service.

    Attributes:
        rows: how many.
        since: SQL of a time: older ones are left out.
        releases: that made them.
    """

    service: str
    rows: int
    since: str
    releases: tuple[int, ...]

    @property
    def condition(self) -> str:
        """SQL over the log's columns."""
        told = f"features is not null and feature_service = {literal(self.service)} and status between 200 and 299"
        return f"{told} and time >= {self.since}"


def parts(con: DuckDBPyConnection, start: datetime | None, limit: int) -> list[Part]:
    """The newest `limit` predictions since then that say their features, by feature service.

    Args:
        con: with the view `predictions`.
    """
    since = _since(start)
    had = f"features is not null and feature_service is not null and status between 200 and 299 and time >= {since}"
    if _one(con, f"select count(*) from predictions where {had}") > limit:
        newest = f"select time from predictions where {had} order by time desc limit 1 offset {limit - 1}"
        since = f"make_timestamptz({_one(con, f'select epoch_us(({newest}))')})"
    found = con.execute(
        f"select feature_service, count(*), list_sort(list(distinct release) filter (release is not null)) "
        f"from predictions where {had} and time >= {since} group by 1 order by 1"
    ).fetchall()
    return [Part(service, rows, since, tuple(releases or ())) for service, rows, releases in found]


def without(con: DuckDBPyConnection, start: datetime | None) -> int:
    """Good predictions since then that do not say their features."""
    had = f"features is null and status between 200 and 299 and time >= {_since(start)}"
    return _one(con, f"select count(*) from predictions where {had}")


def _since(start: datetime | None) -> str:
    return f"timestamptz {literal((start or datetime.min.replace(year=1970, tzinfo=UTC)).isoformat())}"


def names(con: DuckDBPyConnection, part: Part) -> Names:
    """Names among the keys, features and ages of a part's predictions."""
    some = f"(select keys, features, ages from predictions where {part.condition} limit {_SEEN})"
    found = [
        con.execute(f"select distinct unnest(json_keys({column})) from {some}").fetchall()
        for column in ("keys", "features", "ages")
    ]
    keys, features, ages = ({row[0] for row in rows} for rows in found)
    return Names(keys, features, ages)


def write(con: DuckDBPyConnection, part: Part, wanted: Wanted, target: Path) -> int:
    """Write a part's predictions: `n`, `id`, `nth`, `came`, `moment` (that features were read for), `release`, the keys
    by their names, and by number the values `s`, whether one does not fit its type `u`, and the time `e` of the row
    that was served of each view (microseconds since the epoch).

    Returns:
        Their number.
    """
    keys, logged = list(wanted.keys), [feature.logged for feature in wanted.features]
    shown = ["n", "id", "nth", "came", "moment", "release"]
    shown += [f"try_cast(k[{place}] as {wanted.keys[key]}) as {quoted(key)}" for place, key in enumerate(keys, 1)]
    for place, feature in enumerate(wanted.features, 1):
        value, s = f"f[{place}]", f"s{feature.number}"
        shown.append(f"{feature.typed(value)} as {s}")
        shown.append(f"({value} is not null and {value} <> 'NaN' and {s} is null) as u{feature.number}")
    for place, number in enumerate(wanted.ages.values(), 1):
        age = f"try_cast(a[{place}] as DOUBLE)"
        event = f"epoch_us(moment) - cast(round({age} * 1e6) as BIGINT)"
        shown.append(f"case when abs({age}) < {_OLDEST} then {event} end as e{number}")
    extracted = (
        f'select row_number() over () as n, id, "row" as nth, time as came, coalesce(as_of, time) as moment, release, '
        f"{_listed('keys', keys)} as k, {_listed('features', logged)} as f, {_listed('ages', list(wanted.ages))} as a "
        f"from predictions where {part.condition}"
    )
    made = f"select {', '.join(shown)} from ({extracted})"
    con.execute(f"copy ({made}) to {literal(str(target))} (format parquet)")
    return _one(con, f"select count(*) from read_parquet({literal(str(target))})")


def text(con: DuckDBPyConnection, first: Mapping[str, Any], name: str) -> str | None:
    """A value of one prediction (`id`, `nth`, `release`) as the log has it."""
    value = f"json_extract_string(features, {literal(_pointer(name))})"
    which = f'id = {literal(first["id"])} and "row" = {first["nth"]}'
    if first["release"] is not None:
        which += f" and release = {first['release']}"
    found = con.execute(f"select {value} from predictions where {which}").fetchone()
    return None if found is None else found[0]


def _listed(column: str, wanted: Sequence[str]) -> str:
    """All values at once: each path of its own would read the JSON again."""
    paths = ", ".join(literal(_pointer(name)) for name in wanted)
    return f"json_extract_string({column}, [{paths}])" if wanted else "[]"


def _pointer(name: str) -> str:
    return "/" + name.replace("~", "~0").replace("/", "~1")


def _one(con: DuckDBPyConnection, sql: str) -> int:
    row = con.execute(sql).fetchone()
    assert row is not None
    return int(row[0])
