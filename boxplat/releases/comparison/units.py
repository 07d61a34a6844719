"""The labelled units of two releases, read from the log and the outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from boxplat.core.live import OutcomesConfig
from boxplat.core.values import seconds
from boxplat.releases.comparison.betting import Array
from boxplat.releases.comparison.increments import paired, split
from boxplat.releases.comparison.traffic import Span
from boxplat.releases.outcomes.joined import standing

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection

# A prediction is in the log this long after its answer, at most.
SETTLED_SECONDS = 2.0


@dataclass(frozen=True)
class Units:
    """Units in the order in which their labels counted.

    Attributes:
        counted: when each did, seconds since the epoch [N].
        newer: whether the newer release had it [N]; all False in pairs.
        share: the probability of that [N].
        losses: of the release that had it, or of the older one of a pair; shares of the bound [N].
        others: of the newer one of a pair [N]; empty in a split.
    """

    counted: Array
    newer: NDArray[np.bool_]
    share: Array
    losses: Array
    others: Array

    def increments(self) -> tuple[Array, Array]:
        """Increments and weights of the test [N]."""
        return paired(self.losses, self.others) if len(self.others) else split(self.newer, self.share, self.losses)

    def means(self) -> tuple[float | None, float | None]:
        """The mean loss of the older and of the newer release; None without units."""
        ones = (self.losses, self.others) if len(self.others) else (self.losses[~self.newer], self.losses[self.newer])
        older, newer = (float(one.mean()) if len(one) else None for one in ones)
        return older, newer


def of_split(
    con: Connection,
    said: OutcomesConfig,
    pair: tuple[int, int],
    spans: Sequence[Span],
    now: float,
) -> Units:
    """Units that went to one of the two releases while both had traffic.

    Args:
        con: with the tables of `joined.prepare`.
        spans: when that was.
        now: labels that count later are left out.
    """
    older, newer = pair
    con.execute("create or replace temp table period (p integer, first timestamptz, last timestamptz, share double)")
    for number, (begin, end, share) in enumerate(spans):
        con.execute(f"insert into period select {number}, {_moment(begin)}, {_moment(end)}, {share}")
    con.execute(
        f"""
        create or replace temp table born as
        select unit, arg_min((p, release, share), a.time) as was from asked a
            join period on a.time >= first and a.time < last
        where release in ({older}, {newer}) and not shadow group by unit
        """
    )
    own = """
        select v.* from versions v join born using (unit)
            join period on p = was[1] and v.time >= first and v.time < last
        where v.release = was[2] and not v.shadow"""
    rows = con.execute(
        f"""
        select epoch(counted) as counted, any_value(was[2] = {newer}) as newer, any_value(was[3]) as share,
            avg(loss) as loss
        from ({standing(own, seconds(said.settle))}) s join born using (unit)
        where {_counted(now)} group by s.unit, counted order by counted, s.unit
        """
    ).fetchnumpy()
    losses = _floats(rows["loss"])
    return Units(_floats(rows["counted"]), np.asarray(rows["newer"], bool), _floats(rows["share"]), losses, _floats([]))


def of_shadow(
    con: Connection,
    said: OutcomesConfig,
    pair: tuple[int, int],
    spans: Sequence[Span],
    now: float,
) -> Units:
    """Units that both releases answered, one of them unseen; arguments as of `of_split`."""
    older, newer = pair
    when = " or ".join(f"v.time >= {_moment(begin)} and v.time < {_moment(end)}" for begin, end, _ in spans)
    con.execute(
        f"""
        create or replace temp table pairs as
        select v.* from versions v where ({when or "false"})
            and v.release in ({older}, {newer})
            and exists (from asked o where o.id = v.id and o.row = v.row and o.release in ({older}, {newer})
                and o.release <> v.release and o.shadow <> v.shadow)
        """
    )
    rows = con.execute(
        f"""
        with s as materialized ({standing("from pairs", seconds(said.settle))})
        select epoch(a.counted) as counted, avg(a.loss) as loss, avg(b.loss) as other
        from s a join s b on a.id = b.id and a.row = b.row
        where a.release = {older} and b.release = {newer} and {_counted(now, "a.counted")}
        group by a.unit, a.counted order by counted, a.unit
        """
    ).fetchnumpy()
    losses = _floats(rows["loss"])
    nobody = np.zeros(len(losses), bool)
    return Units(_floats(rows["counted"]), nobody, np.zeros(len(losses)), losses, _floats(rows["other"]))


def of_release(con: Connection, said: OutcomesConfig, release: int, now: float) -> Array:
    """The losses of the labelled units of one release in the order in which they counted [N], shares of the bound."""
    own = f"from versions where release = {release} and not shadow"
    rows = con.execute(
        f"""
        select avg(loss) as loss, counted from ({standing(own, seconds(said.settle))})
        where {_counted(now)} group by unit, counted order by counted, unit
        """
    ).fetchnumpy()
    return _floats(rows["loss"])


def _counted(now: float, column: str = "counted") -> str:
    return f"{column} <= {_moment(now - SETTLED_SECONDS)}"


def _moment(at: float) -> str:
    return f"to_timestamp({at})" if math.isfinite(at) else "timestamptz 'infinity'"


def _floats(values: object) -> Array:
    return np.asarray(values, dtype=float)
