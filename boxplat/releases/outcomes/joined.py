"""Labels beside the predictions that they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from boxplat.core.live import OutcomesConfig
from boxplat.core.values import seconds
from boxplat.features.database import literal
from boxplat.releases.outcomes.incoming import SEPARATOR, key
from boxplat.releases.outcomes.losses import loss

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection


def prepare(con: Connection, said: OutcomesConfig, where: str = "true") -> None:
    """Make two tables of the views `predictions` and `outcomes`.

    `asked` has the answered predictions: `id`, `row`, `time`, `release`, `shadow`, `unit` (what goes to one release
    together) and whether that was `named` by the columns declared for it, `moment` (the time that a label must not be
    before), `score`, `predicted` and `key`. `versions` has each version of each label of each of them, with `known`
    (when both the prediction and this version were there), the `key` and the time `about` of the label, and the `loss`,
    a share of the bound; null where it cannot be told.

    Args:
        where: which of the predictions, in SQL.
    """
    unit = key([_logged(name) for name in said.unit]) if said.unit else "id"
    own = key([_logged(name) for name in said.keys]) if said.keys else "null::varchar"
    con.execute(
        f"""
        create or replace temp table asked as
        select id, row, time, release, coalesce(shadow, false) as shadow, coalesce({unit}, id) as unit,
            ({unit}) is not null as named, coalesce(as_of, time) as moment, try(({said.prediction})::double) as score,
            coalesce(try(prediction->>'$'), prediction) as predicted, {own} as key
        from predictions where status between 200 and 299 and ({where})
        """
    )
    names = literal(SEPARATOR.join(said.keys))
    columns = f"""
        a.id, a.row, a.time, a.release, a.shadow, a.unit, a.moment, a.score, o.label, o.said, o.key, o.about,
        o.received, greatest(o.received, a.time) as known, {loss(said).sql} as loss"""
    con.execute(
        f"""
        create or replace temp table versions as
        select {columns} from asked a join outcomes o on o.id = a.id and o.row = a.row
        union all
        select {columns} from asked a join outcomes o on o.names = {names} and o.key = a.key and {_timely(said)}
        """
    )


def _logged(name: str) -> str:
    return f"keys->>{literal(name)}"


def _timely(said: OutcomesConfig) -> str:
    """A label is about the predictions in the time before it."""
    if not said.time:
        return "true"
    within = f"and o.about < a.moment + interval ({seconds(said.within)}) second" if said.within else ""
    return f"o.about >= a.moment {within}"


def grouped(con: Connection) -> bool:
    """Whether any prediction has the columns that a unit is named by; True where there is no prediction."""
    rows, named = con.sql("select count(*), count(*) filter (named) from asked").fetchall()[0]
    return bool(named or not rows)


def standing(versions: str, settle: float) -> str:
    """SQL for the labels as they stood `settle` seconds after the first of their unit was known.

    Its columns: `unit`, `id`, `row`, `release`, `loss`, and `counted`, that moment. Of several labels of a prediction
    the one that is about the earliest time counts, of its versions the last.

    Args:
        versions: those that count, a relation with the columns of the table `versions`.
    """
    return f"""
        with known_loss as (select * from ({versions}) where loss is not null),
        first as (select unit, min(known) + interval ({float(settle)}) second as counted from known_loss group by unit),
        ranked as (
            select v.*, f.counted, row_number() over (
                partition by v.id, v.row, v.release order by v.about nulls first, v.received desc) as rank
            from known_loss v join first f using (unit) where v.known <= f.counted
        )
        select unit, id, row, release, loss, counted from ranked where rank = 1
    """
