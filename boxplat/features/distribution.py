"""A feature view: what it declares, and how the values of its source are distributed, without Feast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.features import catalog as catalogs
from boxplat.features import known
from boxplat.features.database import Defaults, connect, quoted
from boxplat.features.listing import short
from boxplat.features.repository import environment, folder
from boxplat.features.schema import View
from boxplat.features.statistics import Distribution, distribution, first_row

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from boxplat.features.offline.source import Source

MOST = 100_000
# From so many times the sample on, whole blocks of 2,048 rows are drawn, which leaves most of a file unread.
_LARGE = 20
MEMORY = "1GB"


@dataclass(frozen=True)
class Shown:
    """A feature of a view. `distribution` is None where the source has no such column (`why` says so)."""

    name: str
    type: str
    column: str
    distribution: Distribution | None
    why: str = ""


@dataclass(frozen=True)
class ViewShown:
    """A view, its source and its features.

    Attributes:
        example: the keys of one of the newest rows, to ask for; empty where there is no row.
        source: file, folder or URL, relative to the project where it lies in it.
        rows: of the source; `sampled`: how many of them were looked at.
        oldest, newest: event times, ISO.
    """

    view: str
    keys: tuple[str, ...]
    example: Mapping[str, Any]
    source: str
    rows: int
    sampled: int
    oldest: str | None
    newest: str | None
    features: tuple[Shown, ...]


def show(paths: Paths, config: Config, view: str, features: Sequence[str] = (), sample: int = MOST) -> ViewShown:
    """The distributions of a view's features in its source, all times together.

    Args:
        features: some of the view's; none: all.
        sample: how many rows to look at. A larger source is sampled, each time in the same way.

    Raises:
        BoxError: no such view or feature, nothing applied, or no file there yet (exit code 9); a view without a source
            or with one that is no file (2); files that cannot be read (1).
    """
    import duckdb

    from boxplat.features.offline.source import unreadable

    found = known.catalog(paths, config)
    if view not in found.views:
        raise not_found("feature view", view, found.views, "box features list")
    declared = found.views[view]
    names = [field.name for field in declared.fields]
    for name in features:
        if name not in names:
            raise not_found(f"feature of {view}", name, names, f"box features show {view}")
    said = found.sources.get(view)
    if said is None or not said.path:
        raise _no_file(view)
    with environment(child_environment(paths, config)):
        repo = folder(paths, config)
        with connect(_limits(catalogs.settings(repo), repo), [said.path]) as con:
            source = _source(con, view, said, repo)
            try:
                shown = _shown(con, source, declared, said, features or names, sample)
            except duckdb.Error as error:
                raise unreadable(source.name, error) from error
    return replace(shown, view=view, source=short(said.path, paths.root))


def _no_file(view: str) -> BoxError:
    return BoxError(
        f"{view} has no rows that can be looked at",
        why="its source is no file",
        fix="give the view a FileSource (batch_source=FileSource(path=…)), then: box features apply",
        code=ExitCode.USAGE,
    )


def _source(con: DuckDBPyConnection, view: str, said: catalogs.Source, repo: Path) -> Source:
    from boxplat.features.offline.source import absolute, look_at

    path = absolute(said.path, repo)
    return look_at(view, path, con, delta=(Path(path) / "_delta_log").is_dir())


def _limits(settings: catalogs.Settings | None, repo: Path) -> Defaults:
    """What the repository sets for its offline store, where that is boxplat's."""
    lines: Any = settings.offline if settings is not None else {}
    if not isinstance(lines, Mapping) or not str(lines.get("type", "")).startswith("boxplat.features."):
        return Defaults(memory_limit=MEMORY)
    spill = lines.get("temp_directory")
    options = {
        str(name): str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in (lines.get("settings") or {}).items()
    }
    return Defaults(
        lines.get("memory_limit") or MEMORY, lines.get("threads"), str(repo / spill) if spill else None, options
    )


def _shown(
    con: DuckDBPyConnection,
    source: Source,
    view: View,
    said: catalogs.Source,
    features: Sequence[str],
    sample: int,
) -> ViewShown:
    from boxplat.features.offline.times import micros

    columns = {name: column for name in features if (column := _column(source, name, said.mapping))}
    moment = micros(source, source.column(said.timestamp, "event time", said.mapping))
    rows, oldest, newest = _extent(con, source, moment)
    wanted = ", ".join(map(quoted, dict.fromkeys(columns.values()))) or "1"
    con.execute(f"CREATE TEMP TABLE drawn AS SELECT {wanted} FROM {source.relation} {_drawn(rows, sample)}")
    sampled = int(first_row(con, "SELECT count(*) FROM drawn")[0])
    types = {field.name: field.type for field in view.fields}
    shown = []
    for name in features:
        column = columns.get(name, "")
        found = distribution(con, "drawn", column, source.types[column]) if column else None
        why = "" if column else f"its source has no column {name}"
        shown.append(Shown(name, types[name], column, found, why))
    keys = {key.name: source.column(key.name, "join key", said.mapping) for key in view.keys}
    example = _example(con, source, keys, moment)
    return ViewShown(view.name, tuple(keys), example, said.path, rows, sampled, oldest, newest, tuple(shown))


def _example(con: DuckDBPyConnection, source: Source, keys: Mapping[str, str], moment: str) -> dict[str, Any]:
    if not keys:
        return {}
    columns = ", ".join(map(quoted, keys.values()))
    found = con.execute(f"SELECT {columns} FROM {source.relation} ORDER BY {moment} DESC NULLS LAST LIMIT 1").fetchall()
    return dict(zip(keys, found[0], strict=True)) if found else {}


def _extent(con: DuckDBPyConnection, source: Source, moment: str) -> tuple[int, str | None, str | None]:
    """How many rows there are, and the first and last event time."""
    rows, first, last = first_row(
        con, f"SELECT count(*), make_timestamp(min({moment})), make_timestamp(max({moment})) FROM {source.relation}"
    )
    oldest, newest = (f"{moment.isoformat()}+00:00" if moment is not None else None for moment in (first, last))
    return rows, oldest, newest


def _column(source: Source, name: str, mapping: Mapping[str, str]) -> str:
    """The source's column behind a feature; empty where there is none: a transformation makes it."""
    try:
        return source.column(name, "feature", mapping)
    except BoxError:
        return ""


def _drawn(rows: int, sample: int) -> str:
    if rows <= sample:
        return ""
    method = "system" if rows > _LARGE * sample else "bernoulli"
    return f"TABLESAMPLE {method}({100 * sample / rows}%) REPEATABLE (1)"
