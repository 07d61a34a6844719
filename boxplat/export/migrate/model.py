"""Where a project's history goes, what there is to move, and what was moved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """Addresses of the cluster's stores, as they are reached from here.

    `database` is the SQLAlchemy URL of the PostgreSQL database for MLflow, `registry` that for Feast (empty: the same
    one). `storage` is the URL of a bucket or prefix, `endpoint` that of an S3 server other than AWS's; who may write
    there is said by the usual `AWS_*` variables.
    """

    database: str = field(repr=False)
    registry: str = field(default="", repr=False)
    storage: str = ""
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One of the stores: how many things (rows or files) and bytes it holds here, and where they go."""

    name: str
    things: int
    bytes: int
    to: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a migration would do. `problems` are why it is refused; `notes` are what a person should know."""

    parts: tuple[Part, ...]
    tables: Mapping[str, int]
    revision: str
    resumes: bool
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table that is equal on both sides: the sum of its rows' digests does not depend on their order.

    `own` rows are only over there: the cluster's.
    """

    name: str
    rows: int
    checksum: str
    written: int
    removed: int = 0
    own: int = 0


@dataclass(frozen=True, slots=True)
class Tree:
    """A folder whose every file is in the bucket with the same content. `sent` were not there before.

    `own` are not counted: objects that were changed over there since they were sent, and are the cluster's now.
    """

    name: str
    files: int
    bytes: int
    sent: int
    checksum: str
    own: int = 0


@dataclass(frozen=True, slots=True)
class Migration:
    """What was moved and compared.

    `materialized` is by feature view the time from which and until which its rows were in the local online store: the
    cluster's is empty.
    """

    tables: tuple[Table, ...]
    registry: tuple[Table, ...]
    trees: tuple[Tree, ...]
    revision: str
    seconds: float
    notes: tuple[str, ...] = ()
    materialized: Mapping[str, tuple[str, str]] = field(default_factory=dict)
