"""Feast's optional monitoring of features: statistics over our sources, kept in Feast's own files in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from boxplat.features.database import Limits, connect
from boxplat.features.offline import times
from boxplat.features.offline.source import look_up

if TYPE_CHECKING:
    from feast.data_source import DataSource
    from feast.repo_config import RepoConfig

Metrics = list[dict[str, Any]]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def measure(
    config: RepoConfig,
    limits: Limits,
    source: DataSource,
    features: Sequence[tuple[str, str]],
    timestamp: str,
    span: tuple[datetime | None, datetime | None],
    sizes: tuple[int, int],
) -> Metrics:
    """Statistics of features in a range of time.

    Args:
        features: pairs of column and `numeric` or `categorical`.
        sizes: bins of a histogram, and how many of the commonest values to list.
    """
    from feast.infra.offline_stores.duckdb import _duckdb_categorical_stats, _duckdb_numeric_stats

    bins, top = sizes
    numbers = [name for name, kind in features if kind == "numeric"]
    with connect(limits) as con:
        found = look_up(source, config.repo_path, con)
        where = times.between(found, found.column(timestamp, "event time", {}), *span)
        measured = _duckdb_numeric_stats(con, found.relation, numbers, where, bins) if numbers else []
        for name, kind in features:
            if kind == "categorical":
                measured.append(_duckdb_categorical_stats(con, found.relation, name, where, top))
    return measured


def newest(config: RepoConfig, limits: Limits, source: DataSource, timestamp: str) -> datetime | None:
    """The last event time of a source; None if it has no rows."""
    with connect(limits) as con:
        found = look_up(source, config.repo_path, con)
        column = times.micros(found, found.column(timestamp, "event time", {}))
        last = con.execute(f"SELECT max({column}) FROM {found.relation}").fetchall()[0][0]
    return None if last is None else _EPOCH + timedelta(microseconds=last)


class Monitored:
    """The part of Feast's offline store interface that keeps metrics; Feast's DuckDB store keeps them in Parquet."""

    @staticmethod
    def ensure_monitoring_tables(config: RepoConfig) -> None:
        """Make the files of metrics if they are not there."""
        _stock().ensure_monitoring_tables(_as_stock(config))

    @staticmethod
    def save_monitoring_metrics(config: RepoConfig, metric_type: str, metrics: Metrics) -> None:
        """Insert or update metrics."""
        _stock().save_monitoring_metrics(_as_stock(config), metric_type, metrics)

    @staticmethod
    def query_monitoring_metrics(
        config: RepoConfig,
        project: str,
        metric_type: str,
        filters: dict[str, Any] | None = None,
        start_date: date | None = None,
        end_date: date | None = None,
    ) -> Metrics:
        """Metrics in a range of dates."""
        found: Metrics = _stock().query_monitoring_metrics(
            _as_stock(config), project, metric_type, filters, start_date, end_date
        )
        return found

    @staticmethod
    def clear_monitoring_baseline(
        config: RepoConfig,
        project: str,
        feature_view_name: str | None = None,
        feature_name: str | None = None,
        data_source_type: str | None = None,
    ) -> None:
        """Let go of the baseline that other metrics are compared with."""
        _stock().clear_monitoring_baseline(
            _as_stock(config), project, feature_view_name, feature_name, data_source_type
        )


def _stock() -> Any:
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStore

    return DuckDBOfflineStore


def _as_stock(config: RepoConfig) -> Any:
    """What Feast's store looks at of a configuration: its own settings' type, and the repository's folder."""
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig

    return SimpleNamespace(offline_store=DuckDBOfflineStoreConfig(), repo_path=config.repo_path)
