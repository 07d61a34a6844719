"""From boxplat's prediction log to Feast's log of served features.

    from boxplat.features import logged
    logged.write(store, "delay_v1", log_folder, since, until)

After that `FeatureStore.validate_logged_features` and whatever else reads the destination of the service's
`logging_config` finds what boxplat served.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.database import literal

if TYPE_CHECKING:
    import pyarrow as pa
    from feast import FeatureService, FeatureStore

# feast.serving.FieldStatus
_INVALID, _PRESENT, _NULL, _NOT_FOUND, _TOO_OLD = range(5)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write(
    store: FeatureStore, service: str, folder: Path, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Add the features that an endpoint served to the log of their feature service.

    Args:
        folder: of the endpoint's prediction log.
        since, until: of the requests' time, the second excluded. What was added before is not noticed: give windows
            that do not overlap.

    Returns:
        The number of rows.

    Raises:
        BoxError: the service has no `logging_config` (exit code 2).
    """
    declared = store.get_feature_service(service)
    if declared.logging_config is None:
        raise BoxError(
            f"the feature service {service} keeps no log",
            why="it has no logging_config",
            fix="give it LoggingConfig(destination=FileLoggingDestination(path=…)), then: box features apply",
            code=ExitCode.USAGE,
        )
    made = table(store, declared, folder, since, until)
    if made.num_rows:
        store.write_logged_features(made, declared)
    return int(made.num_rows)


def table(
    store: FeatureStore, service: FeatureService, folder: Path, since: datetime | None, until: datetime | None
) -> pa.Table:
    """The rows of a service in the schema of Feast's log, one for each prediction."""
    import pyarrow as pa
    from feast.feature_logging import FeatureServiceLoggingSource

    from boxplat.serving.log import reading

    ours = f"features is not null and feature_service = {literal(service.name)}"
    found = reading.read(folder, since, until, ours)
    served = [{**row, **{name: json.loads(row[name] or "{}") for name in ("keys", "features", "ages")}} for row in
              found.select(["id", "time", "as_of", "keys", "features", "ages"]).to_pylist()]  # fmt: skip
    schema = FeatureServiceLoggingSource(service, store.project).get_schema(store.registry)
    columns = dict(_system(served))
    for projection in service.feature_view_projections:
        life = store.get_feature_view(projection.name).ttl if projection.name in _views(store) else None
        view = str(projection.name_to_use())  # type: ignore[no-untyped-call]
        for feature in projection.features:
            columns |= _feature(served, view, feature.name, schema.field(f"{view}__{feature.name}").type, life)
    for name in schema.names:
        if name not in columns:
            columns[name] = [_typed(row["keys"].get(name), schema.field(name).type)[0] for row in served]
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def _views(store: FeatureStore) -> set[str]:
    return {view.name for view in store.list_feature_views()}


def _system(served: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    yield "__log_timestamp", [row["time"] for row in served]
    yield "__log_date", [row["time"].astimezone(UTC).date() for row in served]
    yield "__request_id", [row["id"] for row in served]


def _feature(
    served: Iterable[Mapping[str, Any]], view: str, name: str, kind: pa.DataType, life: timedelta | None
) -> dict[str, list[Any]]:
    """A feature's values, event times and statuses."""
    full = f"{view}__{name}"
    values, times, statuses = [], [], []
    for row in served:
        given = row["features"]
        value, fits = _typed(given.get(full, given.get(name)), kind)
        age = _seconds(row["ages"].get(view))
        moment = row["as_of"] or row["time"]
        values.append(value)
        times.append(None if age is None else moment - timedelta(seconds=age))
        statuses.append(_status(value, fits, age, life))
    return {full: values, f"{full}__timestamp": times, f"{full}__status": statuses}


def _status(value: Any, fits: bool, age: float | None, life: timedelta | None) -> int:
    if not fits:
        return _INVALID
    if value is not None:
        return _PRESENT
    if age is None:
        return _NOT_FOUND
    return _TOO_OLD if life and age > life.total_seconds() else _NULL


def _seconds(age: Any) -> float | None:
    return float(age) if isinstance(age, int | float) and math.isfinite(age) else None


def _typed(value: Any, kind: pa.DataType) -> tuple[Any, bool]:
    """A value of the log in a column's type, and whether it fits there."""
    import pyarrow as pa

    if value is None:
        return None, True
    try:
        if pa.types.is_floating(kind):
            # "NaN" and "Infinity" among them.
            return float(value), True
        if pa.types.is_timestamp(kind):
            return _EPOCH + timedelta(microseconds=value), True
        return pa.scalar(value, kind).as_py(), True
    except (ValueError, TypeError, OverflowError, pa.ArrowException):
        return None, False
