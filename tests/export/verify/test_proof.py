"""A flow of every kind: run here, exported, run from its template against S3, compared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.adapters import tracking
from boxplat.core.config import load
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import VerifyConfig
from boxplat.core.paths import Paths
from boxplat.export import gather, render
from boxplat.export.verify import compare, registry
from boxplat.export.verify.artifacts import Folder, RunRecord, latest
from boxplat.export.verify.compare import DIFFERENT, EQUAL, IDENTICAL, VARIES, Sources
from boxplat.export.verify.proof import Proof, Subject, verify

pytestmark = pytest.mark.integration
ZOO = Path(__file__).parent / "zoo"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """The zoo with a local run of its flow, whose parameters are not the defaults."""
    paths = Paths(tmp_path_factory.mktemp("zoo") / "project")
    shutil.copytree(ZOO, paths.root, ignore=shutil.ignore_patterns("__pycache__"))
    paths.create()
    environment = {**os.environ, "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(paths.metaflow), "METAFLOW_USER": "box"}
    command = [sys.executable, "flows/zoo.py", "run", "--n", "no", "--max-workers", "2"]
    subprocess.run(command, cwd=paths.root, env=environment, check=True, capture_output=True)
    config = load(paths.config, {})
    export = render(gather(paths, config, [tracking.service(config, paths)], "dev"))
    return Subject(paths, config, export)


@pytest.fixture(scope="module")
def proof(subject: Subject) -> Proof:
    return verify(subject)


def test_all_is_the_same_but_what_is_random(proof: Proof) -> None:
    (flow,) = proof.flows
    assert [(one.task, one.name) for one in flow.differences] == [("gather", "chance")]
    counted = Counter(one.verdict for one in flow.findings)
    assert counted[IDENTICAL] > 60
    # What a traceback says of folders; everything else has the same bytes.
    assert {one.name for one in flow.findings if one.verdict == EQUAL} <= {"failure"}


def test_every_kind_of_step_has_run(proof: Proof) -> None:
    (flow,) = proof.flows
    ended = Counter((node.template, node.status) for node in flow.pods)
    assert ended["row", "Failed"] == 1
    assert ended["row", "Succeeded"] == 2
    assert ended["gang", "Succeeded"] == 1
    assert {one.task for one in flow.findings} >= {"_parameters", "row[0]", "row[1]", "gang[0]", "gang[1]", "risky"}


def test_what_differs_leaves_the_output_of_its_pods(proof: Proof) -> None:
    assert proof.folder is not None
    logs = {path.name for path in proof.folder.glob("*.log")}
    assert {"zooflow-verify.start.log", "zooflow-verify.risky(0).log"} <= logs
    assert not (proof.folder / "s3").exists()
    shutil.rmtree(proof.folder)


def test_a_flow_without_a_local_run_and_one_that_is_none_are_told(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="ZooFlow") as missing:
        verify(subject, ["ZoFlow"])
    assert missing.value.code == ExitCode.NOT_FOUND
    with pytest.raises(BoxError, match="no local run") as never:
        verify(replace(subject, paths=Paths(tmp_path)), ["ZooFlow"])
    assert never.value.code == ExitCode.NOT_FOUND


def test_a_changed_lost_or_added_artifact_is_a_difference(subject: Subject, tmp_path: Path) -> None:
    store = Folder(subject.paths.metaflow / ".metaflow")
    runs = [path.name for path in (store.root / "ZooFlow").iterdir()]
    local = latest(store, "ZooFlow", [name for name in runs if name.isdigit()])
    assert local is not None
    other = RunRecord(store, "ZooFlow", local.run)
    gathered, end = other.tasks["gather", ()], other.tasks["end", ()]
    changed = {**gathered.artifacts, "cells": gathered.artifacts["count"], "more": gathered.artifacts["count"]}
    other.tasks["gather", ()] = replace(gathered, artifacts={k: v for k, v in changed.items() if k != "chance"})
    del other.tasks["end", ()]
    sources = Sources(subject.paths.root / "flows", "zoo")
    found = compare.tasks(local, other, VerifyConfig(varies=("chance",)), sources)
    unlike = {(one.task, one.name): one.verdict for one in found if one.verdict != IDENTICAL}
    assert end is not None
    assert unlike == {
        ("end", ""): DIFFERENT,
        ("gather", "cells"): DIFFERENT,
        ("gather", "chance"): DIFFERENT,
        ("gather", "more"): DIFFERENT,
    }


def test_what_is_logged_is_compared_but_for_what_the_box_records_itself() -> None:
    ours = {"auc": 0.77, "brier": 0.2, "step.fit.seconds": 3.0, "rows": 5.0, "seconds": 1.0}
    theirs = {"auc": 0.77, "brier": 0.2000001, "seconds": 2.0, "new": 1.0}
    declared = VerifyConfig({"brier": 1e-3}, ("seconds",))
    found = compare.logged("metrics", ours, theirs, declared, {"rows"})
    verdicts = {one.name: one.verdict for one in found}
    assert verdicts == {"auc": IDENTICAL, "brier": compare.CLOSE, "seconds": VARIES, "new": DIFFERENT}
    lost = compare.logged("metrics", ours, {}, declared, {"rows"})
    assert {one.name for one in lost if one.verdict == DIFFERENT} == {"auc", "brier"}


def test_packages_that_only_the_image_has_are_named_before_a_flow_runs(
    subject: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_MODULES", ("flask_wtf", "no_such_package"))
    told: list[str] = []
    with pytest.raises(BoxError, match="tracking server cannot run here") as lacking:
        verify(subject, told=told.append)
    assert lacking.value.code == ExitCode.PRECONDITION and told == []
    assert "no_such_package" in lacking.value.why and "flask_wtf" not in lacking.value.why
