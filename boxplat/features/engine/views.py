"""Feast's objects as a plan: which views this engine loads itself, and what they read. Needs no import of Feast."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.features.engine.plan import Plan
from boxplat.features.offline.source import look_up
from boxplat.features.online import views

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def plain(view: Any) -> bool:
    """Whether a feature view's rows are its source's rows, and only go online."""
    computed = any(
        getattr(view, name, None)
        for name in ("feature_transformation", "udf", "aggregations", "source_views", "filter", "enable_validation")
    )
    source = view.batch_source
    return not computed and view.online and not view.offline and type(source).__name__ == "FileSource"


def planned(
    source_view: Any, since: datetime, until: datetime, repo: Path | None, db: DuckDBPyConnection, versioned: bool
) -> Plan:
    """What to load for a plain feature view.

    Args:
        since, until: first and last event time, both included.
        repo: the folder that relative paths start from.
        db: to look at the source with.

    Raises:
        BoxError: its source has no files (exit code 9), or lacks a column (2).
    """
    view, batch = views.view(source_view, versioned=versioned), source_view.batch_source
    found, mapping = look_up(batch, repo, db), batch.field_mapping or {}
    created = batch.created_timestamp_column
    return Plan(
        view=view,
        source=found,
        keys=tuple(found.column(key.name, f"key of {view.name}", mapping) for key in view.keys),
        features=tuple(found.column(field.name, f"feature of {view.name}", mapping) for field in view.fields),
        timestamp=found.column(batch.timestamp_field, "event time", mapping),
        created=found.column(created, "created time", mapping) if created else None,
        start_us=microseconds(since),
        end_us=microseconds(until),
    )


def microseconds(moment: datetime) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - EPOCH) // timedelta(microseconds=1)
