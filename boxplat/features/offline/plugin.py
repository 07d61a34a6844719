"""The offline store that Feast loads: `type: boxplat.features.BoxOfflineStore`.

The two classes are defined here, together, because Feast finds each by the other's module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import Field, StrictStr, field_validator

from boxplat.features.database import connect, is_remote
from boxplat.features.offline import append, logs, pulls, source, views
from boxplat.features.offline.job import BoxRetrievalJob
from boxplat.features.offline.monitoring import Metrics, Monitored, measure, newest
from boxplat.features.offline.plans import Query


class BoxOfflineStoreConfig(FeastConfigBaseModel):
    """Settings under `offline_store:`; an unknown key is refused by name.

    Attributes:
        memory_limit: what DuckDB and the join's own buffers may take, such as `1GB`; None: DuckDB's default.
        threads: threads of a job; None: one for each core.
        temp_directory: where DuckDB spills to; relative to the repository. None: DuckDB's default.
        settings: further DuckDB options by name, such as `s3_region`.
    """

    type: StrictStr = "boxplat.features.BoxOfflineStore"
    memory_limit: StrictStr | None = None
    threads: int | None = Field(default=None, ge=1)
    temp_directory: StrictStr | None = None
    settings: dict[str, str] = Field(default_factory=dict)

    @field_validator("settings", mode="before")
    @classmethod
    def _texts(cls, value: Any) -> Any:
        """YAML makes numbers and booleans of what DuckDB takes as text."""
        if not isinstance(value, dict):
            return value
        return {
            str(name): str(given).lower() if isinstance(given, bool) else str(given) for name, given in value.items()
        }


class BoxOfflineStore(Monitored, OfflineStore):
    """Point-in-time joins, pulls and appends over Parquet, CSV and Delta files, in DuckDB."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        *,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        filter_by_created_timestamp: bool = False,
    ) -> RetrievalJob:
        """Join feature values to entity rows, each as it was known at the row's time.

        Args:
            entity_df: pandas, Arrow or Polars rows, a record batch reader, a DuckDB query, the path of a Parquet file;
                or None: the distinct keys and times of the views' own rows between the two dates.
            filter_by_created_timestamp: leave out values that were created after the row's time.

        Raises:
            BoxError: rows, keys or columns that do not fit, or a source that cannot be read.
        """
        from boxplat.features.offline import historical

        request = historical.Request(
            views=tuple(feature_views),
            references=tuple(feature_refs),
            full_names=full_feature_names,
            created_cutoff=filter_by_created_timestamp,
            start=start_date,
            end=end_date,
        )
        return historical.job(config, request, entity_df, registry, project)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest row of each entity between two times, both included."""
        wanted = pulls.Wanted(
            join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column, start_date, end_date
        )
        return _pulled(config, data_source, wanted, pulls.latest)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows between two times, both included."""
        wanted = pulls.Wanted(
            join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column, start_date, end_date
        )
        return _pulled(config, data_source, wanted, pulls.everything)

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Add rows to a view's source as one new part file."""
        append.append(views.history_of(feature_view), table, config.repo_path, limits(config))
        if progress is not None:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: pa.Table | Path,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Add served features to a feature service's log."""
        logs.log(logging_config.destination, data, config.repo_path)

    @staticmethod
    def compute_monitoring_metrics(
        config: RepoConfig,
        data_source: DataSource,
        feature_columns: list[tuple[str, str]],
        timestamp_field: str,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
        histogram_bins: int = 20,
        top_n: int = 10,
    ) -> Metrics:
        """Statistics of features, as Feast's monitoring keeps them."""
        span, sizes = (start_date, end_date), (histogram_bins, top_n)
        return measure(config, limits(config), data_source, feature_columns, timestamp_field, span, sizes)

    @staticmethod
    def get_monitoring_max_timestamp(
        config: RepoConfig, data_source: DataSource, timestamp_field: str
    ) -> datetime | None:
        """The last event time of a source."""
        return newest(config, limits(config), data_source, timestamp_field)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Raises BoxError for files that are there and cannot be read; files may also come later."""
        path = source.path_of(data_source, config.repo_path)
        if is_remote(path) or Path(path).exists():
            with connect(limits(config)) as con:
                source.look_up(data_source, config.repo_path, con)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns and Arrow types of a source."""
        with connect(limits(config)) as con:
            found = source.schema(source.look_up(data_source, config.repo_path, con), con)
        return [(field.name, str(field.type)) for field in found]


def limits(config: RepoConfig) -> BoxOfflineStoreConfig:
    """The store's settings; its own defaults where another store is configured (Feast's tests do that)."""
    found: Any = config.offline_store
    if not isinstance(found, BoxOfflineStoreConfig):
        return BoxOfflineStoreConfig()
    if not found.temp_directory or Path(found.temp_directory).is_absolute() or config.repo_path is None:
        return found
    return found.model_copy(update={"temp_directory": str(Path(config.repo_path) / found.temp_directory)})


def _pulled(
    config: RepoConfig,
    data_source: DataSource,
    wanted: pulls.Wanted,
    statement: Callable[[source.Source, pulls.Wanted], str],
) -> BoxRetrievalJob:
    described = limits(config)
    query = Query(
        describe=lambda con: source.look_up(data_source, config.repo_path, con),
        statement=lambda found: statement(found, wanted),
        limits=described,
    )
    # Wrong columns are an error now and not when the job is read.
    query.sql()
    return BoxRetrievalJob(query, root=config.repo_path)
