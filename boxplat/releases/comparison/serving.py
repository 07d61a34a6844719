"""How releases answered: requests, failures and times, from the log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection


@dataclass(frozen=True, slots=True)
class Answers:
    """Of one release: requests in the log, those that failed (status 500 and above), times in milliseconds, predictions
    that were made and those of them that have an outcome."""

    release: int
    requests: int = 0
    failed: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    predictions: int = 0
    labelled: int = 0


def answers(con: Connection, releases: Iterable[int], where: str) -> dict[int, Answers]:
    """What each of these releases did.

    Args:
        con: with the tables of `joined.prepare`.
        where: which requests, in SQL.
    """
    found = {release: Answers(release) for release in releases}
    rows = con.execute(
        f"""
        with served as (
            select release, count(*) as requests, count(*) filter (status >= 500) as failed,
                1000 * quantile_cont(seconds, 0.5) as p50, 1000 * quantile_cont(seconds, 0.99) as p99
            from requests where {where} group by release
        ),
        made as (select release, count(*) as predictions from asked group by release),
        known as (select release, count(distinct (id, row)) as labelled from versions group by release)
        select release, requests, failed, p50, p99, coalesce(predictions, 0), coalesce(labelled, 0)
        from served left join made using (release) left join known using (release)
        """
    ).fetchall()
    return found | {row[0]: Answers(*row) for row in rows if row[0] in found}
