"""A project's history over there: the same as here, after any interruption, and as the tools themselves read it."""

from __future__ import annotations

import dataclasses
import gzip
import json
import multiprocessing
import random
import sqlite3
import subprocess
import sys

import pytest
from click.testing import CliRunner

from boxplat.cli import box
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.export.migrate import Migration, Target, migrate
from boxplat.export.verify.storage import Storage
from tests.export.conftest import add_bucket
from tests.export.migrate import history
from tests.export.migrate.conftest import DRIVER, address, files, objects
from tests.export.migrate.postgres import Postgres

pytestmark = pytest.mark.integration
Moved = tuple[Paths, Config]


def quiet(line: str) -> None:
    """Nobody listens."""


def go(moved: Moved, target: Target) -> Migration:
    return migrate(*moved, target, (), quiet)


def rows(paths: Paths) -> dict[str, int]:
    """Rows by table of the local store, as SQLite itself counts them."""
    with sqlite3.connect(paths.mlflow / "mlflow.db") as db:
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        return {name: db.execute(f'select count(*) from "{name}"').fetchone()[0] for name in tables}


def test_killed_at_random_and_called_again_everything_is_there_once(
    moved: Moved, target: Target, ready: Postgres, storage: Storage
) -> None:
    paths, _ = moved
    draw = random.Random()
    fork = multiprocessing.get_context("fork")
    killed = 0
    # The first does not come to its end, on however fast a machine.
    for seconds in (0.05, *(draw.uniform(0.05, 1.5) for _ in range(7))):
        child = fork.Process(target=go, args=(moved, target))
        child.start()
        child.join(seconds)
        killed += child.is_alive()
        child.kill()
        child.join()
    assert killed

    found = go(moved, target)

    assert {table.name: table.rows for table in found.tables} == {
        name: count for name, count in rows(paths).items() if name != "alembic_version"
    }
    with ready.connect(target.database.rpartition("/")[2]) as connection:
        for table in found.tables:
            there = connection.execute(f'select count(*) from "{table.name}"'.encode()).fetchone()
            assert there == (table.rows,)
    stored = objects(storage, target)
    assert {key: stored[f"mlflow/{key}"] for key in files(paths.mlflow / "artifacts")} == files(
        paths.mlflow / "artifacts"
    )
    assert stored["data/rows.parquet"] == (paths.data / "rows.parquet").read_bytes()
    assert history.told(address(target)) == history.told(history.local(paths))


def test_new_ones_over_there_get_numbers_of_their_own(moved: Moved, target: Target) -> None:
    go(moved, target)

    created = history.client(address(target)).create_experiment("made there")

    assert created not in {
        one.experiment_id for one in history.client(history.local(moved[0])).search_experiments(view_type=3)
    }


def test_a_second_time_what_changed_here_follows_and_what_is_theirs_stays(moved: Moved, target: Target) -> None:
    paths, _ = moved
    go(moved, target)
    there, here = history.client(address(target)), history.client(history.local(paths))
    own = there.create_run("0").info.run_id
    new = here.create_run("0").info.run_id
    here.set_registered_model_alias("delay", "champion", "1")
    here.set_tag(new, "later", "yes")
    try:
        found = go(moved, target)

        assert there.get_model_version_by_alias("delay", "champion").version == 1
        assert there.get_run(new).data.tags["later"] == "yes"
        assert there.get_run(own).info.run_id == own
        written = {table.name: table.written for table in found.tables if table.written}
        assert written["registered_model_aliases"] == 1 and written["runs"] == 1 and "metrics" not in written
        assert [tree.sent for tree in found.trees] == [0, 0, 0]

        with sqlite3.connect(paths.mlflow / "mlflow.db") as db:
            db.execute("delete from tags where run_uuid = ?", (new,))
            db.execute("delete from runs where run_uuid = ?", (new,))
        gone = go(moved, target)
        assert {table.name: table.removed for table in gone.tables if table.removed}["runs"] == 1
        assert there.get_run(own).info.run_id == own
    finally:
        here.set_registered_model_alias("delay", "champion", "2")


def test_a_move_that_goes_on_says_that_it_has_the_databases_as_they_were(
    moved: Moved, target: Target, storage: Storage
) -> None:
    later = dataclasses.replace(target, storage="s3://made-later")
    with pytest.raises(BoxError, match="refuses"):
        go(moved, later)
    add_bucket(storage, "made-later")
    assert any("as they were when this move began" in note for note in go(moved, later).notes)
    assert not any("as they were" in note for note in go(moved, later).notes)


def test_a_row_that_was_changed_over_there_is_not_overwritten(moved: Moved, target: Target) -> None:
    go(moved, target)
    there = history.client(address(target))
    there.set_registered_model_alias("delay", "champion", "1")

    with pytest.raises(BoxError) as caught:
        go(moved, target)

    assert caught.value.code == 10
    assert "registered_model_aliases" in caught.value.why
    assert there.get_model_version_by_alias("delay", "champion").version == 1


def test_metaflow_goes_on_with_a_run_that_was_moved(moved: Moved, target: Target, storage: Storage) -> None:
    paths, config = moved
    go(moved, target)
    runs = paths.metaflow / ".metaflow" / "MovedFlow"
    run = (runs / "latest_run").read_text()
    metadata = {"METAFLOW_DEFAULT_DATASTORE": "s3", "METAFLOW_DATASTORE_SYSROOT_S3": f"{target.storage}/metaflow"}
    environment = {**child_environment(paths, config), **storage.environment(), **metadata, "ENDS": "well"}
    # Its objects can only come from the bucket.
    hidden = {path: path.rename(path.with_name(f"{path.name}.hidden")) for path in [runs / "data"]}
    try:
        command = [sys.executable, "flows/moved.py", "--no-pylint", "--datastore=s3", "resume", "--origin-run-id", run]
        done = subprocess.run(command, cwd=paths.root, env=environment, capture_output=True, text=True, check=False)
    finally:
        for path, name in hidden.items():
            name.rename(path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "Done!" in done.stdout
    keys = [key for key in objects(storage, target) if key.startswith("metaflow/MovedFlow/") and "/end/" in key]
    assert any(key.endswith("0.data.json") and run not in key for key in keys)


def test_metaflows_attributes_go_with_its_objects(moved: Moved, target: Target, storage: Storage) -> None:
    paths, _ = moved
    folder = paths.metaflow / ".metaflow"
    beside = [path for path in folder.rglob("*_meta") if path.is_file()]
    go(moved, target)

    prefix = target.storage.removeprefix(f"{storage.url}/")
    path = beside[0]
    key = f"{prefix}/metaflow/{path.with_name(path.name.removesuffix('_meta')).relative_to(folder).as_posix()}"
    head = storage.client().head_object(Bucket=storage.bucket, Key=key)
    assert json.loads(head["Metadata"]["metaflow-user-attributes"]) == json.loads(path.read_bytes())
    stored = objects(storage, target)
    assert not [key for key in stored if key.endswith("_meta")]
    assert len([key for key in stored if key.startswith("metaflow/")]) == len(files(folder)) - len(beside)


def test_what_the_cluster_wrote_since_stays_and_what_has_the_same_content_is_the_same(
    moved: Moved, target: Target, storage: Storage
) -> None:
    paths, _ = moved
    folder = paths.metaflow / ".metaflow"
    artifact = next(path for path in (folder / "MovedFlow" / "data").glob("*/*") if not path.name.endswith("_meta"))
    prefix, s3 = target.storage.removeprefix(f"{storage.url}/"), storage.client()
    blob = f"{prefix}/metaflow/{artifact.relative_to(folder).as_posix()}"
    # As the same artifact of a run over there: compressed at another time.
    recompressed = gzip.compress(gzip.decompress(artifact.read_bytes()), mtime=1)
    s3.put_object(Bucket=storage.bucket, Key=blob, Body=recompressed)
    rows = f"{prefix}/data/rows.parquet"
    first = go(moved, target)
    s3.put_object(Bucket=storage.bucket, Key=rows, Body=b"newer, of the cluster")

    found = go(moved, target)

    assert [tree.own for tree in first.trees] == [0, 0, 0]
    assert {tree.name: tree.own for tree in found.trees} == {"artifacts": 0, "flows": 0, "data": 1}
    assert any("1 files of data were changed over there" in note for note in found.notes)
    assert objects(storage, target)["data/rows.parquet"] == b"newer, of the cluster"
    assert s3.get_object(Bucket=storage.bucket, Key=blob)["Body"].read() == recompressed

    before = (paths.data / "rows.parquet").read_bytes()
    (paths.data / "rows.parquet").write_bytes(before + b"changed here as well")
    try:
        with pytest.raises(BoxError) as caught:
            go(moved, target)
    finally:
        (paths.data / "rows.parquet").write_bytes(before)
    assert caught.value.code == 10 and rows in caught.value.why


def test_feast_reads_the_registry_over_there(moved: Moved, target: Target, postgres: Postgres) -> None:
    from feast.infra.registry.sql import SqlRegistry, SqlRegistryConfig

    own = postgres.make("feast")

    found = go(moved, dataclasses.replace(target, registry=own))

    registry = SqlRegistry(SqlRegistryConfig(path=own.replace("postgresql", DRIVER, 1)), "moved", None)
    view = registry.get_feature_view("weather", "moved")
    assert view.batch_source.path == f"{target.storage}/data/rows.parquet"
    assert view.materialization_intervals == []
    assert registry.get_feature_service("all", "moved").name == "all"
    assert registry.get_entity("place", "moved").name == "place"
    assert [version["version_number"] for version in registry.list_feature_view_versions("weather", "moved")] == [0]
    assert found.materialized["weather"][1] == "2024-01-03T00:00:00+00:00"


def test_a_registry_that_was_applied_to_over_there_stays(moved: Moved, target: Target) -> None:
    from feast import Entity, ValueType
    from feast.infra.registry.sql import SqlRegistry, SqlRegistryConfig

    go(moved, target)
    registry = SqlRegistry(SqlRegistryConfig(path=address(target)), "moved", None)
    registry.apply_entity(Entity(name="theirs", value_type=ValueType.STRING), "moved")

    found = go(moved, target)

    assert any("it is the cluster's" in note for note in found.notes) and found.registry == ()
    assert {entity.name for entity in registry.list_entities("moved")} >= {"place", "theirs"}


def test_the_command_says_what_it_did_and_never_the_password(
    moved: Moved, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths, _ = moved
    monkeypatch.setenv("DATABASE", target.database)
    words = ["--project", str(paths.root), "export", "migrate", "--to-database-env", "DATABASE"]
    words += ["--storage", target.storage, "--storage-endpoint", target.endpoint]

    done = CliRunner().invoke(box, words)

    assert done.exit_code == 0, done.stderr
    assert "equal on both sides" in done.stdout
    assert "feast materialize 2023-12-01T00:00:00+00:00 2024-01-03" in done.stdout
    password = target.database.partition("@")[0].rpartition(":")[2]
    kept = [path for path in (paths.state / "migrate").rglob("*") if path.is_file() and path.suffix != ".db"]
    assert password not in done.output and not [path for path in kept if password in path.read_text()]
    state = StateStore.open(paths)
    try:
        events = state.events.all(kind="history.migrated")
        assert [event.data["to"] for event in events] == [target.storage]
        assert password not in str(events)
    finally:
        state.close()
