"""What a point-in-time join is asked for, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class History:
    """The rows that one feature view ever had.

    Args:
        name: for messages.
        timestamp: the source's column of event times.
        features: pairs of source column and output column.
        keys: pairs of source column and entity column; none for a view without entities: its newest row fits all.
        files: Parquet files, folders of them, or globs, in the order in which their rows were written.
        query: instead of files, a DuckDB SELECT (or VALUES, FROM …) statement.
        created: the source's column of creation times, which settles equal event times.
        ttl_us: how old a row may be, inclusive, in microseconds; None or 0: of any age.
    """

    name: str
    timestamp: str
    features: tuple[tuple[str, str], ...]
    keys: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()
    query: str | None = None
    created: str | None = None
    ttl_us: int | None = None

    @property
    def reach(self) -> int | None:
        """`ttl_us`, or None where rows of any age count."""
        return self.ttl_us if self.ttl_us and self.ttl_us < 2**62 else None

    @property
    def columns(self) -> tuple[str, ...]:
        """The source columns that are needed, each once."""
        named = [column for column, _ in self.keys] + [self.timestamp] + ([self.created] if self.created else [])
        return tuple(dict.fromkeys([*named, *(column for column, _ in self.features)]))


def statement(query: str | None) -> str:
    """A query as it can stand in brackets: without a semicolon, and with a line end after a comment."""
    return (query or "").strip().rstrip(";") + "\n"


@dataclass(frozen=True)
class EntityQuery:
    """Entity rows given as a DuckDB SELECT statement."""

    sql: str


@dataclass(frozen=True)
class Options:
    """Limits and rules of one join.

    Args:
        memory_limit: for the join as a whole, DuckDB's part included, such as `1GB`; None: half of what is free now.
        threads: None: as many as the process may use.
        temp_directory: where DuckDB spills; None: the system's folder for temporary files.
        settings: further DuckDB options.
        created_cutoff: rows created after an entity row's time do not exist for it.
        plan: the way of matching to use wherever it can be (`sort`, `lookback`, `sql`); None: by cost.
    """

    memory_limit: str | None = None
    threads: int | None = None
    temp_directory: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    created_cutoff: bool = False
    plan: str | None = None
