"""`box outcomes add` and `box outcomes show`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.live import OutcomesConfig
from boxplat.core.paths import Paths
from boxplat.features.database import literal
from boxplat.releases.outcomes import incoming, joined, store
from boxplat.releases.outcomes.losses import loss
from boxplat.releases.outcomes.store import Added
from boxplat.serving.log import reading
from boxplat.serving.log.asking import folder_of, moment

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection


@dataclass(frozen=True, slots=True)
class Labelled:
    """Of one release: its answered predictions in the log, and how many of them have an outcome."""

    release: int | None
    predictions: int
    labelled: int


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What is known of an endpoint's outcomes.

    Attributes:
        labels: things that have one.
        corrected: of those, how many were given another later.
        waiting: of those, how many are of no prediction in the log (yet).
        releases: the newest first.
    """

    labels: int
    corrected: int
    waiting: int
    releases: tuple[Labelled, ...]


def add(paths: Paths, config: Config, endpoint: str, source: str) -> Added:
    """Add a file of labels to an endpoint's outcomes; adding it again changes nothing.

    Args:
        source: a Parquet, CSV or JSON-lines file, or `-` for standard input.

    Raises:
        BoxError: no such endpoint or file (exit code 9), labels that cannot be read or joined (2), no space (4).
    """
    said = _said(config, endpoint)
    table = incoming.read(source, said)
    folder = store.folder_of(paths, endpoint)
    try:
        return store.add(folder, table, incoming.columns(table.column_names, said))
    except OSError as error:
        raise BoxError(
            f"cannot keep the outcomes of {endpoint}; none of {source} was added",
            why=error.strerror or str(error),
            fix=f"make room, then add it again: df -h {folder.parent}",
            code=ExitCode.PRECONDITION,
        ) from error


def show(paths: Paths, config: Config, endpoint: str) -> Outcomes:
    """How many outcomes there are, and for how many of the predictions.

    Raises:
        BoxError: no such endpoint (exit code 9), or a setting that is none (2).
    """
    said = _said(config, endpoint)

    def ask(con: Connection) -> Outcomes:
        store.view(con, store.files(store.folder_of(paths, endpoint)))
        joined.prepare(con, said)
        return _counted(con)

    return reading.asked(folder_of(paths, endpoint), ask)


def rows(
    paths: Paths,
    config: Config,
    endpoint: str,
    since: str | None = None,
    limit: int = 20,
    request: str | None = None,
) -> list[dict[str, Any]]:
    """The newest predictions that have an outcome, oldest first, with the outcome as it is known now.

    `label` is a number, or a word; `loss` is in its own units.

    Args:
        since: of the predictions' time: `30m`, `1h`, `2d`, or an ISO time.
        limit: at most so many.
        request: only of the request with this id.

    Raises:
        BoxError: no such endpoint (exit code 9), a time or a setting that is none (2).
    """
    said = _said(config, endpoint)
    begin = moment(since) if since else None
    where = f"time >= timestamptz '{begin.isoformat()}'" if begin else "true"
    where += f" and id = {literal(request)}" if request is not None else ""
    sql = f"""
        with ranked as (select *, row_number() over (
            partition by id, row, release, shadow order by about nulls first, received desc) as rank from versions)
        select id, row, time, release, shadow, score as prediction, coalesce(said, label::varchar) as label,
            loss * {loss(said).bound} as loss, received from ranked where rank = 1
        order by time desc, id desc, row desc limit {int(limit)}"""

    def ask(con: Connection) -> list[dict[str, Any]]:
        store.view(con, store.files(store.folder_of(paths, endpoint)))
        joined.prepare(con, said, where)
        return [dict(row) for row in con.sql(sql).to_arrow_table().to_pylist()]

    found = reading.asked(folder_of(paths, endpoint), ask, begin)
    return [{**row, "label": _plain(row["label"])} for row in reversed(found)]


def _plain(label: str) -> float | str:
    try:
        return float(label)
    except ValueError:
        return label


def _counted(con: Connection) -> Outcomes:
    things = ", ".join(store.IDENTITY)
    labels, corrected, waiting = con.execute(
        f"""
        with things as (select {things}, count(*) as versions from outcomes group by all),
        answered as (select distinct id, row from asked),
        met as (select distinct key, about from versions where key is not null)
        select count(*), count(*) filter (versions > 1), count(*) filter (a.id is null and m.key is null)
        from things t left join answered a on a.id = t.id and a.row = t.row
            left join met m on m.key = t.key and m.about is not distinct from t.about
        """
    ).fetchall()[0]
    rows = con.execute(
        """
        with known as (select distinct id, row, release, shadow from versions)
        select a.release, count(*), count(k.id) from asked a
            left join known k on k.id = a.id and k.row = a.row and k.shadow = a.shadow
                and k.release is not distinct from a.release
        group by a.release order by a.release desc nulls last
        """
    ).fetchall()
    return Outcomes(labels, corrected, waiting, tuple(Labelled(*row) for row in rows))


def _said(config: Config, endpoint: str) -> OutcomesConfig:
    if endpoint not in config.endpoints:
        raise not_found("endpoint", endpoint, config.endpoints, "box endpoints")
    return config.outcomes.get(endpoint, OutcomesConfig())
