"""What a version says of its training table decides what is audited; whoever writes its tags runs no commands."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from boxplat.core.config import AuditConfig, Config
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.audit.report import FUTURE, UNDECLARED, Control, Finding, Report
from boxplat.releases.gates import leakage

CONTENT = b"rows"
GOOD = {
    "training_table": "data/t.parquet",
    "training_digest": hashlib.sha256(CONTENT).hexdigest()[:16],
    "training_build": "made.rows:build",
}


@pytest.fixture
def told(project: Path, state: StateStore):
    """The problem that a version with these tags has."""
    (project / "data").mkdir()
    (project / "data" / "t.parquet").write_bytes(CONTENT)
    (project / "flows" / "made").mkdir(parents=True)
    (project / "flows" / "made" / "rows.py").write_text("raise SystemExit('the code ran')\n")

    def problem(**tags: str) -> str:
        version = ModelVersion("delay", 3, (), None, 0.0, GOOD | tags)
        config = Config(audit=AuditConfig(row=("id",)))
        return leakage.audited(state, Paths(project), config, version, "test", lambda line: None).problem

    return problem


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({"training_table": ""}, "does not say what it was trained on"),
        ({"training_table": "data/gone.parquet"}, "is gone"),
        ({"training_table": "../outside.parquet"}, "does not lie in the project"),
        ({"training_digest": "0" * 16}, "is not the table that it was trained on"),
        ({"training_digest": ""}, "is not the table that it was trained on"),
        ({"training_build": "touch /tmp/owned"}, "does not name a function of this project"),
        ({"training_build": "os:system"}, "does not name a function of this project"),
        ({"training_build": ""}, "does not name a function of this project"),
        ({}, "cannot be audited"),
    ],
)
def test_a_version_that_cannot_be_audited_says_why(told, tags: dict[str, str], says: str) -> None:
    assert says in told(**tags)


def test_faults_of_columns_that_the_model_reads_count() -> None:
    findings = [Finding("mins", FUTURE), Finding("dep_delay", FUTURE), Finding("x", UNDECLARED)]
    report = Report("t.parquet", "b", 0, findings=findings, controls=(Control("planted", False, ""),), file="r.txt")
    every = leakage.found(report, "", "t")
    assert every.faults == {FUTURE: ("mins", "dep_delay"), UNDECLARED: ("x",)} and not every.ignored
    some = leakage.found(report, "mins, other", "t")
    assert some.faults == {FUTURE: ("mins",)} and some.ignored == ("dep_delay", "x")
    assert "planted" in some.other
