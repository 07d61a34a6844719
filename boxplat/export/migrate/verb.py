"""`box export migrate`: what ran here is found over there, with the same content."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.engine import URL

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.export.migrate import databases
from boxplat.export.migrate.bucket import Bucket
from boxplat.export.migrate.journal import Journal
from boxplat.export.migrate.model import Migration, Part, Plan, Target
from boxplat.export.migrate.servers import copy_registry, copy_tracking, prepare_tracking
from boxplat.export.migrate.sources import Sources, gathered
from boxplat.export.migrate.upload import send

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Places:
    """A target that makes sense."""

    database: URL
    registry: URL
    storage: str
    endpoint: str

    def journal(self, paths: Paths) -> Journal:
        shown = (databases.shown(self.database), databases.shown(self.registry), self.storage, self.endpoint)
        return Journal.of(paths.state, "\n".join(shown))


def plan(paths: Paths, config: Config, target: Target, busy: Sequence[str], told: Told) -> Plan:
    """What a migration would do; nothing is written, and the target is not asked.

    Args:
        busy: the runs that are under way.

    Raises:
        BoxError: an address is wrong, or a store here cannot be read.
    """
    places = _places(target)
    journal = places.journal(paths)
    if journal.under_way:
        return _plan(gathered(paths, config, places.storage, journal, told), places, busy)
    with tempfile.TemporaryDirectory(prefix="boxplat-migrate-") as folder:
        return _plan(gathered(paths, config, places.storage, Journal(Path(folder)), told), places, busy)


def migrate(paths: Paths, config: Config, target: Target, busy: Sequence[str], told: Told) -> Migration:
    """Copy tracking, registry, artifacts, flows' artifacts and data, and compare both sides.

    What is equal over there already is left alone, so that after an interruption the same call goes on. What was
    changed here since the last time is brought up to date; what was changed there is not overwritten.

    Args:
        busy: the runs that are under way: nothing is moved then.

    Raises:
        BoxError: as `plan`; something cannot be moved (exit code 4), or the sides are not equal in the end (10).
    """
    began, places = time.monotonic(), _places(target)
    journal = places.journal(paths)
    with journal.held():
        found = gathered(paths, config, places.storage, journal, told)
        problems = _plan(found, places, busy).problems
        if problems and not found.resumes:
            journal.forget()
        _refuse(problems)
        bucket = Bucket(places.storage, places.endpoint)
        bucket.check()
        with ExitStack() as stack:
            tracking = stack.enter_context(databases.opened(places.database))
            same = places.registry == places.database
            registry = tracking if same else stack.enter_context(databases.opened(places.registry))
            prepare_tracking(tracking, found.revision, journal, told)
            # Files first: no row is ever seen over there whose files are not.
            trees = tuple(send(bucket, files, journal, told) for files in found.files)
            tables = copy_tracking(tracking, journal, told)
            objects, notes = copy_registry(registry, journal, told)
        journal.end()
    stay = tuple(f"{tree.own} files of {tree.name} were changed over there and stay so" for tree in trees if tree.own)
    if found.resumes:
        stay = (*stay, "the databases are as they were when this move began: the same command brings what came since")
    seconds, said = time.monotonic() - began, (*found.notes, *notes, *stay)
    return Migration(tables, objects, trees, found.revision, seconds, said, found.materialized)


def _places(target: Target) -> _Places:
    storage = target.storage.rstrip("/")
    if not storage.startswith("s3://") or not storage.removeprefix("s3://"):
        raise BoxError(
            f"{target.storage!r} is no address of object storage",
            why="it should look like s3://BUCKET or s3://BUCKET/PREFIX",
            fix="box export migrate --storage s3://BUCKET …   (or set [export] storage in boxplat.toml)",
            code=ExitCode.USAGE,
        )
    database = databases.address(target.database)
    registry = databases.address(target.registry) if target.registry else database
    return _Places(database, registry, storage, target.endpoint.rstrip("/"))


def _plan(found: Sources, places: _Places, busy: Sequence[str]) -> Plan:
    parts = [
        Part("tracking", sum(found.tables.values()), 0, databases.shown(places.database)),
        Part("registry", sum(found.registry.values()), 0, databases.shown(places.registry)),
        *(Part(tree.name, len(tree.entries), tree.bytes, f"{places.storage}/{tree.prefix}") for tree in found.files),
    ]
    problems = [f"{run} is under way: only half of it would go   (box wait, or box cancel)" for run in busy]
    return Plan(
        parts=tuple(parts),
        tables={name: rows for name, rows in found.tables.items() if rows},
        revision=found.revision,
        resumes=found.resumes,
        notes=found.notes,
        problems=(*problems, *found.problems),
    )


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise BoxError(
            "the project cannot be moved as it is",
            why="\n".join(problems[:12]) + ("\n…" if len(problems) > 12 else ""),
            fix="mend what is listed, then: box export migrate … --plan",
            code=ExitCode.PRECONDITION,
        )
