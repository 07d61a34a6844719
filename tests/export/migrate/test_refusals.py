"""What a migration refuses, and that nothing was written then."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxplat.core.config import Config, load
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.export.migrate import Target, migrate, plan, target
from boxplat.export.migrate.bucket import PART, Bucket, etag
from boxplat.export.verify.storage import Storage
from tests.export.migrate.conftest import objects
from tests.export.migrate.postgres import Postgres

Moved = tuple[Paths, Config]


@pytest.fixture
def bare(tmp_path: Path) -> Moved:
    """A project that was never used, but for one file."""
    (tmp_path / "boxplat.toml").write_text('[export]\nstorage = "s3://bucket/there"\n')
    paths = Paths(tmp_path)
    paths.create()
    (paths.data / "a.csv").write_text("a,b\n")
    return paths, load(paths.config, {})


def quiet(line: str) -> None:
    """Nobody listens."""


@pytest.mark.parametrize(
    ("database", "why"),
    [
        ("no address, with password", "cannot be read"),
        ("postgresql://box:hidden@host:port/db", "cannot be read"),
        ("mysql://box:hidden@host/db", "mysql"),
        ("postgresql://box:hidden@host", "no database"),
    ],
)
def test_what_is_no_address_is_refused_without_showing_it(bare: Moved, database: str, why: str) -> None:
    with pytest.raises(BoxError) as caught:
        plan(*bare, Target(database, "", "s3://bucket"), (), quiet)

    assert caught.value.code == 2
    assert why in caught.value.why
    assert "hidden" not in str(caught.value) and "with password" not in str(caught.value)


def test_a_plan_asks_nobody_and_leaves_nothing(bare: Moved) -> None:
    to = target(bare[1], "postgresql://box:hidden@127.0.0.1:1/box")

    found = plan(*bare, to, (), quiet)

    assert [(part.name, part.things) for part in found.parts] == [
        ("tracking", 0), ("registry", 0), ("artifacts", 0), ("flows", 0), ("data", 1),
    ]  # fmt: skip
    assert found.parts[-1].to == "s3://bucket/there/data" and found.parts[0].to == "127.0.0.1:1/box"
    assert not (bare[0].state / "migrate").exists()


def test_a_run_that_is_under_way_is_waited_for(bare: Moved) -> None:
    to = Target("postgresql://box:hidden@127.0.0.1:1/box", "", "s3://bucket")

    with pytest.raises(BoxError) as caught:
        migrate(*bare, to, ["run 7 (TrainFlow)"], quiet)

    assert caught.value.code == 4 and "run 7 (TrainFlow) is under way" in caught.value.why
    assert not plan(*bare, to, (), quiet).resumes


@pytest.mark.integration
def test_a_database_that_somebody_else_uses_is_refused_untouched(
    moved: Moved, target: Target, ready: Postgres, storage: Storage
) -> None:
    with ready.connect(target.database.rpartition("/")[2]) as connection:
        connection.execute("insert into registered_models (name, workspace) values ('theirs', 'default')")

        with pytest.raises(BoxError, match="in use") as caught:
            migrate(*moved, target, (), quiet)

        assert caught.value.code == 4 and "registered_models 1" in caught.value.why
        assert connection.execute("select count(*) from experiments").fetchone() == (0,)
    assert objects(storage, target) == {}


@pytest.mark.integration
def test_tables_of_another_revision_are_refused(moved: Moved, target: Target, ready: Postgres) -> None:
    with ready.connect(target.database.rpartition("/")[2]) as connection:
        connection.execute("update alembic_version set version_num = 'older'")

    with pytest.raises(BoxError, match="different revisions") as caught:
        migrate(*moved, target, (), quiet)

    assert caught.value.code == 4 and "there older" in caught.value.why


@pytest.mark.integration
def test_servers_that_do_not_answer_are_named(moved: Moved, target: Target) -> None:
    wrong = dataclasses.replace(target, database=f"{target.database.rpartition('@')[0]}@127.0.0.1:1/nothing")
    with pytest.raises(BoxError) as caught:
        migrate(*moved, wrong, (), quiet)
    assert caught.value.code == 4 and "127.0.0.1:1/nothing" in caught.value.what

    elsewhere = dataclasses.replace(target, storage="s3://no-such-bucket")
    with pytest.raises(BoxError) as caught:
        migrate(*moved, elsewhere, (), quiet)
    assert caught.value.code == 4 and "s3://no-such-bucket" in caught.value.what


@pytest.mark.integration
def test_an_object_of_somebody_elses_is_not_overwritten(moved: Moved, target: Target, storage: Storage) -> None:
    key = f"{target.storage.removeprefix(f'{storage.url}/')}/data/rows.parquet"
    storage.client().put_object(Bucket=storage.bucket, Key=key, Body=b"theirs")

    with pytest.raises(BoxError) as caught:
        migrate(*moved, target, (), quiet)

    assert caught.value.code == 10 and key in caught.value.why
    assert storage.client().get_object(Bucket=storage.bucket, Key=key)["Body"].read() == b"theirs"


@pytest.mark.integration
def test_a_file_of_several_parts_is_the_same_there(target: Target, storage: Storage, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(os.urandom(2**16) * ((PART + 2**20) // 2**16))
    bucket = Bucket(target.storage, target.endpoint)

    sent, answered = bucket.put(f"{bucket.prefix}/large", large, '{"a": 1}')

    assert sent == answered == etag(iter([large.read_bytes()])) and answered.endswith("-2")
    assert bucket.listing(bucket.prefix)[f"{bucket.prefix}/large"].etag == answered
    assert bucket.etag(f"{bucket.prefix}/large") == answered
    assert json.loads(bucket.attributes(f"{bucket.prefix}/large")) == {"a": 1}


def test_the_command_wants_an_address_that_is_not_an_argument(bare: Moved) -> None:
    command = [sys.executable, "-m", "boxplat", "--project", str(bare[0].root), "export", "migrate"]
    done = subprocess.run(
        [*command, "--to-database-env", "NOT_SET"], capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert done.returncode == 2
    assert "the variable NOT_SET is not set or empty" in done.stderr and "fix: export DATABASE=" in done.stderr
