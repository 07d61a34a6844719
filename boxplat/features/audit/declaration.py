"""What is to be audited: the settings `[audit]` and `[sources.NAME]`, and what a call says instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.core.config import Config, SourceConfig
from boxplat.core.errors import BoxError, ExitCode, nearest, not_found
from boxplat.core.paths import Paths
from boxplat.features.audit.sources import FORMATS, Source, files

EXAMPLE = "box features audit TABLE.parquet --build module:function --row ID --time event_timestamp --label y"
_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}


@dataclass(frozen=True)
class Choice:
    """What one call says instead of the settings; None or empty: as the settings say.

    `service` without `build` means: the set was built by `get_historical_features` over this feature service.
    `entities` is the entity frame to build it from, when there is no `table` yet. `created`: the set was joined with
    `filter_by_created_timestamp`. `per` is the most rows per decision time.
    """

    table: str = ""
    build: str = ""
    service: str = ""
    entities: str = ""
    time: str = ""
    label: str = ""
    row: tuple[str, ...] = ()
    moments: int | None = None
    per: int = 8
    seed: int = 0
    tolerance: float | None = None
    created: bool = False

    @property
    def retrieved(self) -> bool:
        """Whether the set comes from Feast's `get_historical_features` and not from code of the project's own."""
        return bool(self.service or self.entities) and not self.build


@dataclass(frozen=True)
class Declaration:
    """An audit, resolved: the table (of `columns`), the columns' parts, the code and the sources."""

    table: Path
    columns: tuple[str, ...]
    build: str
    row: tuple[str, ...]
    time: str
    label: str
    ids: tuple[str, ...]
    given: tuple[str, ...]
    service: str
    features: tuple[str, ...]
    derived: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()
    moments: int = 20
    per: int = 8
    seed: int = 0
    tolerance: float = 0.0

    @property
    def wanted(self) -> tuple[str, ...]:
        """Columns that a build is given: what names a row, its time, and what comes with the request."""
        names = dict.fromkeys((*self.row, self.time, *self.ids, *self.given))
        return tuple(name for name in names if name in self.columns)

    @property
    def compared(self) -> tuple[str, ...]:
        """Columns whose values must not change."""
        kept = {*self.row, self.time, self.label}
        return tuple(name for name in self.columns if name not in kept)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Columns that a model may read."""
        return tuple(name for name in self.compared if name not in self.ids)


def table_of(paths: Paths, config: Config, choice: Choice) -> Path:
    """The file under audit.

    Raises:
        BoxError: none is named (exit code 2), or it is not there (9).
    """
    named = choice.table or choice.entities or config.audit.table
    if not named:
        raise BoxError(
            "no training set to audit",
            why=f"none is named, and {paths.config.name} declares none in [audit]",
            fix=f"declare one (docs/audit.md shows how), or: {EXAMPLE}",
            code=ExitCode.USAGE,
        )
    # The shell's folder for what is typed, the project's for what is declared.
    path = (Path(named) if choice.table or choice.entities else paths.root / named).absolute()
    if not path.is_file() and (paths.root / named).is_file():
        path = paths.root / named
    if not path.is_file() or path.suffix not in FORMATS:
        there = [str(file.name) for file in path.parent.glob("*.parquet")] if path.parent.is_dir() else []
        raise not_found("training set", str(named), there, "run the flow that writes it (box run …), or name another")
    return path.resolve()


def resolve(
    config: Config, choice: Choice, table: Path, columns: Sequence[str], sources: Sequence[Source]
) -> Declaration:
    """The audit of a table with these columns.

    Raises:
        BoxError: a column that the table lacks, or nothing that builds it, or no sources (exit code 2).
    """
    said = config.audit
    row, time, label = choice.row or said.row, choice.time or said.time, choice.label or said.label
    for flag, name in [*(("--row", name) for name in row), ("--time", time), ("--label", label)]:
        if name and name not in columns:
            raise _no_column(table, flag, name, columns)
    build = choice.build or said.build
    lacking = [what for what, value in (("build", build), ("row", row), ("sources", sources)) if not value]
    if lacking:
        raise BoxError(
            f"cannot audit {table.name}: no {' and no '.join(lacking)}",
            why="the audit runs the code that built the set on sources that end at a row's decision time",
            fix=f"declare them in boxplat.toml (docs/audit.md shows how), or: {EXAMPLE}",
            code=ExitCode.USAGE,
        )
    return Declaration(
        table=table, columns=tuple(columns), build=build, row=tuple(row), time=time, label=label, ids=said.ids,
        given=said.given, service=choice.service or said.service, features=said.features, derived=said.derived,
        sources=tuple(sources), moments=choice.moments or said.moments, per=choice.per, seed=choice.seed,
        tolerance=said.tolerance if choice.tolerance is None else choice.tolerance,
    )  # fmt: skip


def declared_sources(paths: Paths, config: Config) -> list[Source]:
    """The sources of the settings.

    Raises:
        BoxError: one without path or known time (exit code 2), or without files (9).
    """
    history = seconds(config.audit.history)
    return [_source(paths, name, said, history) for name, said in config.sources.items()]


def _source(paths: Paths, name: str, said: SourceConfig, history: int | None) -> Source:
    if not said.path or not said.known:
        raise BoxError(
            f"[sources.{name}] in {paths.config} lacks {'path' if not said.path else 'known'}",
            why="a source is cut at a decision time: its files, and SQL that says when a row became known",
            fix=f'add it, like: path = ".box/data/raw/{name}.parquet" and known = "event_timestamp"',
            code=ExitCode.USAGE,
        )
    later = {tuple(part.strip() for part in columns.split(",")): sql for columns, sql in said.later.items()}
    found = files(paths.root, said.path, name)
    return Source(name, found, said.known, later, history * 1_000_000 if history else None)


def seconds(text: str) -> int | None:
    """Seconds of "33 days" or "12 hours"; None for an empty text.

    Raises:
        BoxError: another text (exit code 2).
    """
    if not text:
        return None
    found = re.fullmatch(rf"\s*([0-9]+)\s*({'|'.join(_UNITS)})s?\s*", text)
    if found is None:
        raise BoxError(
            f"[audit] history {text!r} is no duration",
            why=f"a duration is a whole number and one of {', '.join(_UNITS)}",
            fix='write it like history = "33 days"',
            code=ExitCode.USAGE,
        )
    return int(found[1]) * _UNITS[found[2]]


def _no_column(table: Path, flag: str, name: str, columns: Iterable[str]) -> BoxError:
    return BoxError(
        f"{table.name} has no column {name!r}{nearest(name, columns)}",
        why=f"its columns are: {', '.join(columns)}",
        fix=f"name another with {flag}, or correct [audit] in boxplat.toml",
        code=ExitCode.USAGE,
    )
