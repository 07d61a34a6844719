"""A project with a history, and real servers that it moves to, made once for all tests."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from boxplat.adapters import tracking_schema
from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.export.migrate import Target
from boxplat.export.verify.storage import Storage
from tests.export.migrate import history
from tests.export.migrate.postgres import Postgres, program, serve

READY = "ready"
# As SQLAlchemy and MLflow name the driver.
DRIVER = "postgresql+psycopg"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    if program("initdb") is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql)")
    with serve() as running:
        yield running


@pytest.fixture(scope="session")
def moved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Paths, Config]:
    return history.make(tmp_path_factory.mktemp("migrate") / "project")


@pytest.fixture(scope="session")
def ready(postgres: Postgres) -> Postgres:
    """The server with a database that has MLflow's tables, made by a process that was killed over it, and again."""
    address = postgres.make(READY).replace("postgresql", DRIVER, 1)
    first = multiprocessing.get_context("fork").Process(target=tracking_schema.make, args=(address,))
    first.start()
    first.join(3)
    first.kill()
    first.join()
    tracking_schema.make(address)
    return postgres


@pytest.fixture
def target(ready: Postgres, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> Target:
    """An empty database with MLflow's tables, and a place in the bucket, that no other test has."""
    for name, value in storage.environment().items():
        monkeypatch.setenv(name, value)
    name = f"box{next(_NUMBERS)}"
    return Target(ready.make(name, READY), "", f"{storage.url}/{name}", storage.endpoint)


_NUMBERS = itertools.count()


@pytest.fixture
def said() -> tuple[list[str], Callable[[str], None]]:
    lines: list[str] = []
    return lines, lines.append


def address(target: Target) -> str:
    """The target's database for MLflow's own client."""
    return target.database.replace("postgresql", DRIVER, 1)


def objects(storage: Storage, target: Target) -> dict[str, bytes]:
    """What is in the target's place of the bucket."""
    s3, prefix = storage.client(), target.storage.removeprefix(f"{storage.url}/")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=storage.bucket, Prefix=f"{prefix}/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    read = {key: s3.get_object(Bucket=storage.bucket, Key=key)["Body"].read() for key in keys}
    return {key.removeprefix(f"{prefix}/"): content for key, content in read.items()}


def files(folder: Path) -> dict[str, bytes]:
    return {
        Path(place, name).relative_to(folder).as_posix(): Path(place, name).read_bytes()
        for place, _, names in os.walk(folder)
        for name in names
    }
