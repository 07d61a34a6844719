"""`box features audit`: one training set from its declaration to a verdict."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.datasets import SPOOL, read_file
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.audit import folders, sampling, sources, splits
from boxplat.features.audit.builder import Place, started
from boxplat.features.audit.controls import compared, hidden_control, reads_sources
from boxplat.features.audit.declaration import Choice
from boxplat.features.audit.mirror import FLOWS, Mirror
from boxplat.features.audit.rebuilding import Rebuilding
from boxplat.features.audit.report import Report
from boxplat.features.audit.sampling import Moment
from boxplat.features.audit.subject import Subject, filled, subject
from boxplat.features.audit.verdict import findings
from boxplat.features.repository import Told

if TYPE_CHECKING:
    import duckdb

STRONGEST = 3


def audit(state: StateStore, paths: Paths, config: Config, choice: Choice, by: str, told: Told) -> Report:
    """Is a training set honest? Rows of it are built again from sources that end at each row's decision time.

    Args:
        choice: what the call says instead of the settings `[audit]`.
        told: hears of progress.

    Returns:
        The report; it also lies as text at `report.file`. `report.passed` is the gate, `report.refusal()` its error.

    Raises:
        BoxError: nothing or too little is declared (exit code 2), a table, source or service is not there (9), or the
            code that builds the set fails (1).
    """
    began = time.monotonic()
    with folders.scratch(paths) as scratch:
        con = sources.connect(scratch / "spill")
        one = subject(con, paths, config, choice, told)
        _note(one)
        with _rebuilding(con, one, paths, config, scratch, told) as work:
            report = _audited(con, filled(con, one, work, scratch), work, told)
    report.table = folders.short(paths, one.said.table)
    report.seconds = round(time.monotonic() - began, 3)
    folders.keep(paths, report)
    facts = {
        "table": report.table,
        "passed": report.passed,
        "findings": {found.column: found.kind for found in report.findings},
        "report": report.file,
        "seconds": report.seconds,
        "by": by,
    }
    state.events.append("features", "features.audited", facts)
    return report


def _note(one: Subject) -> None:
    """Tell the run, where there is one, what is audited."""
    for file in (one.said.table, *(file for source in one.said.sources for file in source.files)):
        if file.is_file():
            read_file(file)


@contextmanager
def _rebuilding(
    con: duckdb.DuckDBPyConnection, one: Subject, paths: Paths, config: Config, scratch: Path, told: Told
) -> Iterator[Rebuilding]:
    """The code under audit, started in a copy of the project."""
    import pyarrow as pa

    root = scratch / "project"
    root.mkdir()
    mirror = Mirror(paths.root, root, (FLOWS, Path(config.features.repo).parts[0]), one.said.sources)
    there = {**child_environment(Paths(root), config), **one.environment(mirror, scratch)}
    # What the code under audit reads are cut copies, no datasets of a run.
    there.pop(SPOOL, None)
    place = Place(root, there, (root / FLOWS, root), paths.logs / "audit.log")
    schema = con.sql(f"select * from ({one.relation}) limit 0").to_arrow_table().schema
    wanted = pa.schema([schema.field(name) for name in one.said.wanted])
    told(f"starting {one.said.build}")
    with started(one.said.build, place, mirror.place(one.said.table)) as build:
        yield Rebuilding(con, one.said, mirror, build, wanted, scratch)


def _audited(con: duckdb.DuckDBPyConnection, one: Subject, work: Rebuilding, told: Told) -> Report:
    work.said = said = one.said
    moments = _moments(con, one)
    rows = [row for moment in moments for row in moment.rows]
    undeclared = one.undeclared()
    report = Report(
        table=said.table.name, build=said.build, seed=said.seed, rows=len(rows), moments=len(moments),
        first=moments[0].when.isoformat(), last=moments[-1].when.isoformat(), columns=said.compared,
        trusted=tuple(dict.fromkeys((*said.ids, *said.given))), declared=one.declared.where if one.declared else "",
    )  # fmt: skip
    alone = _split(con, one, report, told)
    told("building from empty sources")
    read, kept = reads_sources(work, rows)
    result, planted = compared(work, moments, told)
    report.hidden = work.hidden()
    report.controls = (planted, read, hidden_control(report.hidden))
    report.missing = result.missing
    if result.differences or result.missing:
        told("building the same rows from all data")
    # Feast's own code reads nothing but its views; what stays there was computed from the request.
    report.findings = findings(work, result, rows, [] if one.retrieval else kept, undeclared, alone)
    return report


def _moments(con: duckdb.DuckDBPyConnection, one: Subject) -> list[Moment]:
    said = one.said
    moments = sampling.moments(con, one.relation, said.time, said.label, said.moments, said.per, said.seed)
    if not moments:
        raise BoxError(
            f"{said.table.name} has no row to audit",
            why=f"no row has a {said.time}{f' and a {said.label}' if said.label else ''}",
            fix="name other columns with --time and --label",
            code=ExitCode.USAGE,
        )
    return moments


def _split(con: duckdb.DuckDBPyConnection, one: Subject, report: Report, told: Told) -> dict[str, float]:
    """Both splits into the report; and the AUC of each column alone."""
    said = one.said
    if not said.label:
        return {}
    told("comparing a random split with a chronological one")
    learnt = splits.sample(con, one.relation, said.time, said.label, said.inputs, said.seed)
    report.split = splits.optimism(learnt, said.seed)
    alone = {column: area for column in learnt.inputs if (area := splits.alone(learnt, column)) is not None}
    report.strongest = dict(sorted(alone.items(), key=lambda item: -item[1])[:STRONGEST])
    return alone
