"""`box lift` on the command line, with a real export of a project that has everything."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from boxplat import lift_table
from boxplat.cli import box
from boxplat.cli.lift import agreed
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.export import Export, write
from boxplat.export.lift import Order
from boxplat.export.verify.storage import Storage
from tests.export.conftest import add_bucket
from tests.export.lift.apiserver import ApiServer
from tests.export.lift.conftest import SPACE, Scene, entry

BUCKET = "boxplat-wild-box"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    root.mkdir(exist_ok=True)
    (root / "boxplat.toml").write_text('[project]\nname = "wild"\n')
    monkeypatch.setenv("BOX_PROJECT", str(root))
    return root


@pytest.fixture
def exported(
    export: Export, cluster: ApiServer, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The wild project's export, and a cluster and an object store that suit it."""
    folder = tmp_path / "k8s"
    write(export, folder)
    lock = json.loads((folder / "export.lock.json").read_text())
    cluster.put("Namespace", lock["namespace"])
    for name, keys in lock["secrets"].items():
        cluster.put("Secret", name, lock["namespace"], data=dict.fromkeys(keys, "c2VjcmV0"))
    for name, value in storage.environment().items():
        monkeypatch.setenv(name, value)
    add_bucket(storage, BUCKET)
    return folder


def run(*words: str) -> Result:
    result = CliRunner().invoke(box, ["lift", *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_real_export_is_lifted_whole(exported: Path, cluster: ApiServer, project: Path, storage: Storage) -> None:
    done = run("--from", str(exported), "--overlay", "prod", "--yes", "--json")
    assert done.exit_code == 0, done.stderr
    lifted = json.loads(done.stdout)["lift"]
    assert lifted["number"] == 1
    made = {f"{step['ref']['kind']}/{step['ref']['name']}" for step in lifted["plan"]["steps"]}
    assert made <= cluster.names()
    assert {title.partition("/")[0] for title in made} >= {"WorkflowTemplate", "CronWorkflow", "Deployment", "Job"}
    state = StateStore.open(Paths(project))
    kinds = [event.kind for event in state.events.all() if event.subject == "lift"]
    state.close()
    assert sorted(kinds) == ["lift.began", "lift.done"]
    sent = {one["Key"] for one in storage.client().list_objects_v2(Bucket=BUCKET)["Contents"]}
    code = {path.relative_to(exported / "code").as_posix() for path in (exported / "code").rglob("*") if path.is_file()}
    assert sent == {f"metaflow/{path}" for path in code}


def test_without_a_terminal_nobody_is_asked(cluster: ApiServer, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is shown whole, and what a person must agree to is in the error."""
    monkeypatch.setattr("sys.argv", ["box", "lift"])
    plan = scene.lift(Order(plan=True)).plan
    with pytest.raises(BoxError, match="must agree") as refused:
        agreed(plan, yes=False, as_json=True)
    assert refused.value.code == ExitCode.USAGE
    assert refused.value.why.startswith("first: this project was never lifted")
    assert agreed(plan, yes=True, as_json=True)
    assert agreed(replace(plan, findings=()), yes=False, as_json=True)
    shown = lift_table.plan(plan)
    assert "! first: this project was never lifted" in shown
    assert "create  HTTPRoute" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--resume", "--rollback"), "--resume and --rollback exclude each other"),
        (("--to", "3"), "--to needs --rollback"),
        (("--overlay", "dve", "--from", "k8s"), "did you mean 'dev'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    project: Path, scene: Scene, words: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.export(project.parent / "k8s")
    monkeypatch.chdir(project.parent)
    refused = run(*words)
    assert refused.exit_code in (2, 9)
    assert said in refused.stderr


def test_the_address_of_a_database_is_never_an_argument(project: Path) -> None:
    refused = run("--to-database-env", "NOT_SET", "--yes")
    assert refused.exit_code == 2
    assert "there is no address of a database" in refused.stderr


def test_errors_name_the_step_and_the_log_on_one_screen(scene: Scene) -> None:
    scene.documents = [entry("v1", "Namespace", SPACE)]
    scene.server.denied = {("create", "namespaces")}
    with pytest.raises(BoxError) as refused:
        scene.lift()
    text = str(refused.value)
    assert [line.split(":")[0].strip() for line in text.splitlines()][:2] == ["error", "why"]
    assert "fix: kubectl auth can-i create namespaces" in text
