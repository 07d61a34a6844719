"""The databases over there: their tables made, and whose rows are in them."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import inspect
from sqlalchemy.engine import Connection, Engine

from boxplat.adapters import tracking_schema
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.migrate import databases
from boxplat.export.migrate.journal import Journal
from boxplat.export.migrate.model import Table
from boxplat.export.migrate.rows import Sides, Told, copy_rows, strange
from boxplat.export.migrate.sources import REGISTRY, TRACKING
from boxplat.export.migrate.tables import counts, names, revision
from boxplat.features.registry_copy import make_tables

# What a server of MLflow's writes when it only starts: an experiment and a workspace, both called default.
_SEEDS = {"experiments": 1, "workspaces": 1}


def prepare_tracking(target: Engine, wanted: str, journal: Journal, told: Told) -> None:
    """MLflow's tables of the same revision over there, with nothing in them that is not from here.

    Args:
        wanted: the revision of the tables here; empty where there are none.

    Raises:
        BoxError: they are of another revision, or hold what is not of this project (exit code 4).
    """
    if not wanted:
        return
    there = _revision(target)
    if not there:
        told("making MLflow's tables")
        tracking_schema.make(target.url.render_as_string(hide_password=False))
        there = _revision(target)
    if there != wanted:
        raise BoxError(
            "the tables of MLflow are of different revisions",
            why=f"here {wanted}, there {there}",
            fix="use the same MLflow on both sides: `box up` brings the tables here up to date, and "
            "`mlflow db upgrade` those over there",
            code=ExitCode.PRECONDITION,
        )
    if journal.claimed:
        return
    with databases.copy(journal.work / TRACKING) as source, target.connect() as connection:
        filled = _filled(connection, names(source) if source is not None else ())
    if filled:
        raise BoxError(
            "the database over there is in use",
            why="rows that are not from this project: " + ", ".join(f"{name} {rows}" for name, rows in filled.items()),
            fix="give an empty database: createdb NAME; two histories cannot be told apart in one",
            code=ExitCode.PRECONDITION,
        )
    journal.claim()


def _revision(target: Engine) -> str:
    with target.connect() as connection:
        return revision(connection)


def _filled(connection: Connection, tables: Iterable[str]) -> dict[str, int]:
    """The tables with more in them than a server writes by itself."""
    present = set(inspect(connection).get_table_names())
    found = counts(connection, [name for name in tables if name in present])
    return {name: rows for name, rows in found.items() if rows > _SEEDS.get(name, 0)}


def copy_tracking(target: Engine, journal: Journal, told: Told) -> tuple[Table, ...]:
    """MLflow's rows; registered models, their versions and aliases are among them.

    Raises:
        BoxError: as `copy_rows`.
    """
    with databases.copy(journal.work / TRACKING) as source, databases.copy(journal.base / TRACKING) as base:
        if source is None:
            return ()
        return copy_rows(Sides(source, target, base, replace=not journal.ended), told)


def copy_registry(target: Engine, journal: Journal, told: Told) -> tuple[tuple[Table, ...], tuple[str, ...]]:
    """Feast's rows, if nothing else was registered over there; and what is to be said if something was.

    Once it was applied to over there it is the cluster's own, which has the same definitions.

    Raises:
        BoxError: as `copy_rows`.
    """
    with databases.copy(journal.work / REGISTRY) as source, databases.copy(journal.base / REGISTRY) as base:
        if source is None:
            return (), ()
        make_tables(target)
        sides = Sides(source, target, base)
        if strange(sides):
            return (), ("the registry over there has been applied to: it is the cluster's and stays as it is",)
        return copy_rows(sides, told), ()
