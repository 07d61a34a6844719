"""Why served and recomputed values differ: what the history of a view's rows says about each prediction.

With ages in the log the row that was served is known by its time. It may still be there as it was (then a later row, a
life time or a transformation made the difference), be there with other values, or be gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.features.database import quoted
from boxplat.features.skew.features import Feature, Wanted
from boxplat.features.skew.recomputed import Rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

# Ages may have been logged in whole seconds.
_NEAR_US = 500_000


@dataclass(frozen=True)
class Cause:
    """How many values of a feature differ for one reason, and the first of them.

    `reason` is `cause` or `cause:evidence`. Times are microseconds since the epoch, or None.
    """

    reason: str
    count: int
    first: Mapping[str, Any]


def of_view(
    con: DuckDBPyConnection, table: str, rows: Rows, wanted: Wanted, features: Sequence[Feature], changed: Changed
) -> dict[str, list[Cause]]:
    """Causes by feature, from a table of `comparison.differing`.

    Args:
        rows: the view's own.
        features: those of the view that differ.
        changed: by feature, the releases since which it was declared anew.
    """
    con.execute(f"create or replace temp table history as {_history(table, rows, features)}")
    shown = [
        f"o.v{one.number} as ov{one.number}, o.p{one.number}, f.v{one.number} as f{one.number}" for one in features
    ]
    con.execute(
        f"create or replace temp table judged as select m.*, o.he as oe, o.hc as oc, f.hc as fc, {', '.join(shown)}, "
        f"coalesce(f.he >= m.e - {_NEAR_US}, false) as found from {table} m "
        f"asof left join history o on {_keys(rows, 'o')} m.moment >= o.he "
        f"asof left join history f on {_keys(rows, 'f')} m.e + {_NEAR_US} >= f.he"
    )
    life = str(rows.history.ttl_us) if rows.history.ttl_us else "null"
    logged = features[0].view in wanted.ages
    return {one.full: _counted(con, "judged", one, _stored(one, life, logged, changed)) for one in features}


def _keys(rows: Rows, history: str) -> str:
    """SQL: a prediction's keys are those of a row, and …"""
    pairs = (f"m.{quoted(column)} = {history}.{quoted(f'key {name}')}" for name, column in rows.history.keys)
    return "".join(f"{pair} and " for pair in pairs)


def of_transformation(con: DuckDBPyConnection, table: str, one: Feature, changed: Changed, inputs: str) -> list[Cause]:
    """The same for a feature that is computed from others.

    Args:
        inputs: SQL: numbers `n` of the predictions of which a stored feature differs.
    """
    con.execute(
        f"create or replace temp table judged as select *, null::BIGINT as oe, null::BIGINT as oc, "
        f"n in ({inputs}) as followed from {table}"
    )
    case = f"case {_declared(one, changed)} when followed then 'inputs' else 'code:transformation' end"
    return _counted(con, "judged", one, case)


Changed = Mapping[str, Sequence[int]]


def _history(table: str, rows: Rows, features: Sequence[Feature]) -> str:
    """The rows of the keys at hand, one for each time (the one created last), with the value before."""
    own = rows.history
    columns = {name: column for column, name in own.features}
    keys = [quoted(f"key {name}") for name, _ in own.keys]
    shown = [f"h.{quoted(name)} as {key}" for (name, _), key in zip(own.keys, keys, strict=True)]
    shown.append(f"epoch_us(cast(h.{quoted(own.timestamp)} as TIMESTAMPTZ)) as he")
    created = f"epoch_us(cast(h.{quoted(own.created)} as TIMESTAMPTZ))" if own.created else "null::BIGINT"
    shown.append(f"{created} as hc")
    shown += [f"{one.recomputed(f'h.{quoted(columns[one.full])}')} as x{one.number}" for one in features]
    matched = " and ".join(f"h.{quoted(name)} = m.{quoted(column)}" for name, column in own.keys) or "true"
    found = f"select {', '.join(shown)} from {rows.relation} h semi join {table} m on {matched}"
    values = [f"arg_max_null(x{one.number}, coalesce(hc, 0)) as v{one.number}" for one in features]
    grouped = f"select {', '.join([*keys, 'he', 'max(hc) as hc', *values])} from ({found}) group by all"
    apart = f"partition by {', '.join(keys)} " if keys else ""
    over = f"over ({apart}order by he)"
    before = ", ".join(f"lag(v{one.number}) {over} as p{one.number}" for one in features)
    return f"select *, {before} from ({grouped})"


def _declared(one: Feature, changed: Changed) -> str:
    """SQL of what is to be looked at first: the form of the value, and the definition."""
    s, o = f"s{one.number}", f"o{one.number}"
    said = f"when u{one.number} or {one.rounded(s, o)} then 'type'"
    releases = ", ".join(map(str, changed.get(one.full, ())))
    return f"{said} when release in ({releases}) then 'code:definition'" if releases else said


def _stored(one: Feature, life: str, logged: bool, changed: Changed) -> str:
    """SQL of the cause of one difference of a feature with rows.

    Args:
        life: of the view, microseconds; `null`: for ever.
        logged: ages are, so that without one (`e`) no row was served.
    """
    s, o, same_row, before = f"s{one.number}", f"o{one.number}", f"f{one.number}", f"p{one.number}"
    # A replay reads old features now: rows that were created after the asked moment came late. The row that was served
    # was there when it was: it came late only if it was written again since.
    known = "least(came, moment)"
    late = f"then case when {{}} > {known} then 'late' else 'behind' end"
    absent = f"when e is null and oe is not null {late.format('oc')}"
    if not logged:
        absent = (
            f"when {s} is null and came - oe > {life} then 'ttl' "
            f"when oe is not null and {s} is not distinct from {before} {late.format('oc')} "
            # The view's other values are those of the row that is found now.
            f"when oe is not null and {s} is not null and same then 'code:rewritten'"
        )
    return (
        f"case {_declared(one, changed)} "
        f"when e > moment then 'ahead' "
        f"when e is not null and not found then 'code:gone' "
        f"when {s} is null and {same_row} is not null and greatest(came, moment) - e > {life} then 'ttl' "
        f"when e is not null and {s} is distinct from {same_row} "
        f"then case when fc > came and not same then 'late' else 'code:rewritten' end "
        f"when {o} is null and moment - oe > {life} then 'ttl' "
        f"when oe > e + {_NEAR_US} {late.format('oc')} "
        f"{absent} else 'unknown' end"
    )


def _counted(con: DuckDBPyConnection, table: str, one: Feature, case: str) -> list[Cause]:
    first = (
        f"arg_min({{'n': n, 'id': id, 'nth': nth, 'came': came, 'moment': moment, 'release': release, "
        f"'served': cast(s{one.number} as VARCHAR), 'recomputed': cast(o{one.number} as VARCHAR), "
        f"'served_event': e, 'recomputed_event': oe, 'created': oc}}, came)"
    )
    found = con.execute(
        f"select {case} as reason, count(*), {first} from {table} where d{one.number} group by 1 order by 2 desc, 1"
    ).fetchall()
    return [Cause(reason, int(count), example) for reason, count, example in found]
