"""A request for historical features: entity rows and feature views brought to the join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import Limits, connect, quoted
from boxplat.features.offline import entity, views, window
from boxplat.features.offline.entity import Rows
from boxplat.features.offline.plans import steady, watched
from boxplat.features.offline.source import Source, look_up, recall
from boxplat.features.offline.views import Needed

if TYPE_CHECKING:
    import pyarrow as pa
    from feast.feature_view import FeatureView
    from feast.infra.offline_stores.offline_store import RetrievalMetadata
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.repo_config import RepoConfig

    from boxplat.features.join import EntityQuery, History, Options
    from boxplat.features.offline.job import BoxRetrievalJob

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Request:
    """What was asked for, entity rows apart.

    Attributes:
        start, end: range of the views' own rows, for a request without entity rows.
        created_cutoff: leave out values that were created after the entity row's time.
    """

    views: tuple[FeatureView, ...]
    references: tuple[str, ...]
    full_names: bool
    created_cutoff: bool
    start: datetime | None
    end: datetime | None


def job(config: RepoConfig, request: Request, given: Any, registry: BaseRegistry, project: str) -> BoxRetrievalJob:
    """Check a request and make the job that answers it; nothing but names and types is read here.

    Raises:
        BoxError: rows, keys or columns that do not fit, or a source that cannot be read.
    """
    from feast.on_demand_feature_view import OnDemandFeatureView

    from boxplat.features.offline.job import BoxRetrievalJob
    from boxplat.features.offline.plugin import limits

    described, repo = limits(config), config.repo_path
    shares = views.needed(request.views, request.references, request.full_names)
    span: tuple[datetime, datetime] | None = None
    if given is None:
        given, span = window.query(shares, request, repo, described)
    rows = entity.rows(given, described, repo)
    views.check(shares, rows)
    demanded = OnDemandFeatureView.get_requested_odfvs(list(request.references), project, registry)
    for view in demanded:
        rows.require(list(view.get_request_data_schema()), f"on-demand view {view.name} takes it from the request")
    plan = Join(rows, tuple(shares), repo, described, request.created_cutoff)
    # Wrong names and unreadable files are an error now and not when the job is read.
    plan.found()
    return BoxRetrievalJob(
        plan, demanded, request.full_names, lambda: _metadata(rows, request.references, span, described), repo
    )


@dataclass(frozen=True)
class Join:
    """The plan of a point-in-time join. Its sources are looked up again each time it runs."""

    rows: Rows
    shares: tuple[Needed, ...]
    repo: Path | None
    limits: Limits
    created_cutoff: bool

    def table(self) -> pa.Table:
        """The result in memory, in entity order."""
        from boxplat.features.join import join

        return steady(self.found, lambda found: join(self._entity(), self.rows.timestamp, found, self._options()))

    def reader(self, rows: int) -> pa.RecordBatchReader:
        """The result as a stream of batches of at most `rows` rows, in entity order."""
        from boxplat.features.join import stream

        histories, sources = self.found()
        return watched(stream(self._entity(), self.rows.timestamp, histories, self._options()), sources, rows=rows)

    def write(self, path: Path) -> int:
        """The result as one Parquet file, within the memory limit; returns its rows."""
        from boxplat.features.join import write

        def run(found: Sequence[History]) -> int:
            return write(self._entity(), self.rows.timestamp, found, self._options(), path=path)

        return steady(self.found, run)

    def sql(self) -> str:
        """A statement that gives the same rows; only for entity rows that are a query."""
        from boxplat.features.offline.statement import point_in_time

        if self.rows.table is not None:
            raise BoxError(
                "this retrieval is no SQL statement",
                why="its entity rows are in memory",
                fix="give the entity rows as a query or as the path of a Parquet file",
                code=ExitCode.USAGE,
            )
        return point_in_time(self.rows, self.found()[0], self.created_cutoff)

    def found(self) -> tuple[list[History], list[Source]]:
        """The views' shares in the columns and files of this moment.

        Raises:
            BoxError: files or columns are missing.
        """
        known = [recall(share.source, self.repo) for share in self.shares]
        sources = [source for source in known if source is not None]
        if len(sources) < len(known):
            with connect(self.limits) as con:
                sources = [look_up(share.source, self.repo, con) for share in self.shares]
        return [share.history(source) for share, source in zip(self.shares, sources, strict=True)], sources

    def _entity(self) -> pa.Table | EntityQuery:
        from boxplat.features.join import EntityQuery

        return EntityQuery(self.rows.query) if self.rows.table is None else self.rows.table

    def _options(self) -> Options:
        from boxplat.features.join import Options

        return Options(
            memory_limit=self.limits.memory_limit,
            threads=self.limits.threads,
            temp_directory=self.limits.temp_directory,
            settings=self.limits.settings,
            created_cutoff=self.created_cutoff,
        )


def _metadata(
    rows: Rows, references: Sequence[str], span: tuple[datetime, datetime] | None, limits: Limits
) -> RetrievalMetadata:
    from feast.infra.offline_stores.offline_store import RetrievalMetadata

    first, last = span or _range(rows, limits)
    keys = [name for name in rows.types if name != rows.timestamp]
    return RetrievalMetadata(list(references), keys, first, last)


def _range(rows: Rows, limits: Limits) -> tuple[datetime | None, datetime | None]:
    with connect(limits) as con:
        if rows.table is not None:
            con.register("entity", rows.table.select([rows.timestamp]))
        table = f"({rows.query})" if rows.table is None else "entity"
        at = f"epoch_us(CAST({quoted(rows.timestamp)} AS TIMESTAMPTZ))"
        first, last = con.execute(f"SELECT min({at}), max({at}) FROM {table}").fetchall()[0]
    return _moment(first), _moment(last)


def _moment(at: int | None) -> datetime | None:
    return None if at is None else _EPOCH + timedelta(microseconds=at)
