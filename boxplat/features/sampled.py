"""Keys to ask a feature service for: some that are online, taken from what was written last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths
from boxplat.features import known, reading
from boxplat.features.catalog import Catalog, Projection
from boxplat.features.database import Defaults, connect, quoted
from boxplat.features.repository import environment, folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_CANDIDATES, _NEWEST = 1000, 20_000
Row = dict[str, Any]


def services(paths: Paths, config: Config) -> list[str]:
    """The feature services of the project, by name.

    Raises:
        BoxError: no repository, or nothing applied (exit code 9).
    """
    return sorted(known.catalog(paths, config).services)


def vectors(paths: Paths, config: Config, service: str, most: int) -> list[Row]:
    """What `reading.get` gives for some of the newest keys of the service's views: those with most values first.

    Returns:
        At most `most` rows; none where no view has a file of rows.

    Raises:
        BoxError: as `reading.get`.
    """
    found = known.catalog(paths, config)
    with environment(child_environment(paths, config)), connect(Defaults()) as con:
        candidates = _candidates(con, found, service, folder(paths, config))
    if not candidates:
        return []
    rows = reading.get(paths, config, service, candidates)
    return sorted(rows, key=lambda row: -sum(one == "PRESENT" for one in row["status"].values()))[:most]


def _candidates(con: DuckDBPyConnection, found: Catalog, service: str, repo: Path) -> list[Row]:
    """Rows with all keys of a service: newest first of the view with most keys, the others' repeated beside them."""
    parts = found.services[service].projections
    rows: list[Row] = []
    for part in sorted(parts, key=lambda part: -len(found.views[part.view].keys)):
        asked = {key.name: part.key_map.get(key.name, key.name) for key in found.views[part.view].keys}
        missing = {key: name for key, name in asked.items() if not rows or name not in rows[0]}
        values = _newest(con, found, part, repo, missing) if missing else []
        if missing and not values:
            return []
        rows = rows or [{} for _ in values]
        rows = [row | values[at % len(values)] if values else row for at, row in enumerate(rows)]
    return rows


def _newest(
    con: DuckDBPyConnection, found: Catalog, part: Projection, repo: Path, keys: Mapping[str, str]
) -> Sequence[Row]:
    from boxplat.features.offline.source import absolute, look_at

    said = found.sources.get(part.view)
    path = absolute(said.path, repo) if said is not None and said.path else ""
    if said is None or not path or "://" in path or not Path(path).exists():
        return []
    source = look_at(part.view, path, con, delta=(Path(path) / "_delta_log").is_dir())
    columns = ", ".join(quoted(source.column(key, "join key", said.mapping)) for key in keys)
    moment = quoted(source.column(said.timestamp, "event time", said.mapping))
    newest = f"SELECT {columns}, {moment} AS at_moment FROM {source.relation} ORDER BY at_moment DESC LIMIT {_NEWEST}"
    order = f"max(at_moment) DESC, {columns} LIMIT {_CANDIDATES}"
    asked = f"SELECT {columns} FROM ({newest}) GROUP BY {columns} ORDER BY {order}"
    return [dict(zip(keys.values(), row, strict=True)) for row in con.execute(asked).fetchall()]
