"""What is under audit: a table that the project's code builds, or one that Feast retrieves over a service's views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features.audit import columns, declaration, sources
from boxplat.features.audit.declaration import Choice, Declaration
from boxplat.features.audit.mirror import Mirror
from boxplat.features.audit.rebuilding import Rebuilding
from boxplat.features.audit.retrieval import ASKED, BUILD, Retrieval, moved, retrieval
from boxplat.features.audit.sampling import ROW, numbered
from boxplat.features.repository import Told

if TYPE_CHECKING:
    import duckdb

FRAME = 8_000


@dataclass(frozen=True)
class Subject:
    """The audit, SQL of its table with row numbers, who declares its columns, and (if Feast makes it) how."""

    said: Declaration
    relation: str
    declared: columns.Declared | None
    retrieval: Retrieval | None = None
    entities: bool = False

    def undeclared(self) -> list[str]:
        """Columns that nobody declares; none when nobody declares anything."""
        if self.declared is None:
            return []
        rest = [name for name in self.said.compared if name not in (*self.said.ids, *self.said.given)]
        return columns.undeclared(rest, self.declared, self.said.derived)

    def environment(self, mirror: Mirror, scratch: Path) -> Mapping[str, str]:
        """What the code's process needs to know beside the usual: for Feast, a registry of the copied project."""
        if self.retrieval is None:
            return {}
        registry = scratch / "registry.db"
        registry.write_bytes(moved(self.retrieval.registry, self.retrieval.repo, mirror.place))
        full_names = any("__" in name and name in self.retrieval.declared.features for name in self.said.columns)
        return {ASKED: self.retrieval.asked(registry, self.said.time, full_names)}


def subject(con: duckdb.DuckDBPyConnection, paths: Paths, config: Config, choice: Choice, told: Told) -> Subject:
    """What a call and the settings say.

    Raises:
        BoxError: as `audit`.
    """
    table = declaration.table_of(paths, config, choice)
    names = _columns(con, table)
    if choice.retrieved:
        return _retrieved(paths, config, choice, table, names, told)
    said = declaration.resolve(config, choice, table, names, declaration.declared_sources(paths, config))
    for source in said.sources:
        sources.check(con, source)
    declared = None
    if said.features:
        declared = columns.of_settings(said.features)
    elif said.service:
        declared = columns.of_service(paths, config, said.service, told)
    return Subject(said, numbered(sources.typed(table)), declared)


def _retrieved(
    paths: Paths, config: Config, choice: Choice, table: Path, names: tuple[str, ...], told: Told
) -> Subject:
    said = config.audit
    service = choice.service or said.service
    if not service:
        raise BoxError(
            f"no feature service to retrieve {table.name} over",
            why="an entity frame says for whom, a feature service says what",
            fix="box features audit --entities FILE --service NAME --time COLUMN",
            code=ExitCode.USAGE,
        )
    found = retrieval(paths, config, service, choice.created, told)
    entities = not choice.table
    choice = replace(choice, build=BUILD, row=(ROW,), service=service, label=choice.label or _kept(said.label, names))
    resolved = declaration.resolve(config, choice, table, (*names, ROW), found.sources)
    own = {resolved.time, resolved.label}
    given = [name for name in names if name not in own and (entities or name in (*found.declared.keys, *said.given))]
    resolved = replace(resolved, given=tuple(given), ids=tuple(name for name in said.ids if name in names))
    return Subject(resolved, numbered(sources.typed(table)), found.declared, found, entities)


def filled(con: duckdb.DuckDBPyConnection, one: Subject, work: Rebuilding, scratch: Path) -> Subject:
    """An entity frame with its features, retrieved from all data (for at most 8,000 random rows of it)."""
    import pyarrow.parquet as pq

    if not one.entities:
        return one
    rows = con.sql(
        f"select * from ({one.relation}) order by hash({ROW}, {one.said.seed}) limit {FRAME}"
    ).to_arrow_table()
    found = work.table_from_everything(rows.select(list(one.said.wanted)))
    features = [name for name in found.column_names if name in one.retrieval.declared.features] if one.retrieval else []
    target = scratch / "retrieved.parquet"
    pq.write_table(found.select([ROW, *features]), target)
    relation = (
        f"select e.*, r.* exclude ({ROW}) from ({one.relation}) e join {sources.relation(target)} r using ({ROW})"
    )
    columns_ = (*one.said.columns, *(name for name in features if name not in one.said.columns))
    return replace(one, said=replace(one.said, columns=columns_), relation=relation)


def _columns(con: duckdb.DuckDBPyConnection, table: Path) -> tuple[str, ...]:
    import duckdb

    try:
        return tuple(row[0] for row in con.execute(f"describe select * from {sources.typed(table)}").fetchall())
    except duckdb.Error as error:
        raise BoxError(
            f"cannot read {table}",
            why=str(error).splitlines()[0],
            fix="write it again with the flow that makes it",
        ) from error


def _kept(name: str, names: tuple[str, ...]) -> str:
    return name if name in names else ""
