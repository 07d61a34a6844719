"""One feature repository twice: over Feast's SQLite store behind Feast's own server, and over ours behind ours."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

HERE = Path(__file__).parent
READ = "/get-online-features"
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ONLINE = {
    "feast": "{type: sqlite, path: online.db}",
    "box": "{type: boxplat.features.BoxOnlineStore, path: online}",
}
SETTINGS = """\
project: wild
provider: local
registry: registry.db
offline_store: {{type: duckdb}}
online_store: {online}
entity_key_serialization_version: 3
"""
FULL: dict[str, Any] = {
    "i32": -5,
    "i64": 2**53 + 1,
    "f32": 0.1,
    "f64": 0.1,
    "flag": True,
    "text": 'Grüße "✓" \u2028 \n \x7f \\',
    "raw": b"\x00\xff\xfe",
    "at": MOMENT,
    "i64s": [2**53 + 1, -1],
    "f32s": [0.1, float("nan")],
    "f64s": [0.1, 1e300],
    "texts": ["ü", ""],
    "flags": [True, False],
    "raws": [b"\x00", b"x"],
    "ats": [MOMENT],
    "uid": uuid.UUID(int=7),
    "dec": Decimal("1.2300"),
    "doc": '{"a": 1}',
    "map": {"k": "v"},
    "tags": {"x"},
}
EMPTY = dict.fromkeys(FULL)
ODD = EMPTY | {"f64": float("nan"), "f32": float("inf"), "i64s": [], "f64s": [float("-inf")], "flag": False}
# The server, with longer patience than the tests' own process may ever be paused.
PATIENT = """\
from boxplat.features.server import main
from boxplat.serving.http import patience
main.GRACE_SECONDS, patience._GRACE_SECONDS = 60, 120.0
main.main()
"""
ROWS: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {
    "every": [({"driver_id": 1}, FULL), ({"driver_id": 2}, EMPTY), ({"driver_id": 3}, ODD)],
    "cities": [({"city": "a"}, {"n": 1}), ({"city": "7"}, {"n": 7})],
    "short": [({"driver_id": 1}, {"n": 1})],
    "pairs": [({"driver_id": 1, "city": "a"}, {"trips": 9})],
    "places": [({"location_id": 1}, {"temp": 1.5}), ({"location_id": 2}, {"temp": -0.0})],
    "rides": [({"driver_id": 1}, {"km": 1e16, "count": 5, "seen": MOMENT, "blob": b"x"})],
    "world": [({"__dummy_id": ""}, {"rate": 1e-7})],
}


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str | None
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def column(self, name: str) -> Any:
        """One result, by its name."""
        return self.json["results"][self.json["metadata"]["feature_names"].index(name)]

    @property
    def sorted(self) -> bytes:
        """The body with the results in the order of their names: Feast's own order within a view is that of a set."""
        found = json.loads(self.body) if self.body else None
        if not isinstance(found, dict) or "results" not in found:
            return self.body
        names = found["metadata"]["feature_names"]
        order = sorted(range(len(names)), key=names.__getitem__)
        found["results"] = [found["results"][index] for index in order]
        found["metadata"]["feature_names"] = [names[index] for index in order]
        return json.dumps(found, ensure_ascii=False, separators=(",", ":")).encode()


class Server:
    """Our server as a process; `patient`: a request under way is given up late."""

    def __init__(self, repo: Path, log: Path, patient: bool = False) -> None:
        from boxplat.supervisor.sockets import listen

        self.repo = repo
        self.socket = listen(0)
        self.port = int(self.socket.getsockname()[1])
        self.log = log
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        program = ["-c", PATIENT] if patient else ["-m", "boxplat.features.server.main"]
        command = [sys.executable, "-P", *program, str(repo)]
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, "--fd", str(self.socket.fileno())],
                pass_fds=[self.socket.fileno()],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
            )

    def ask(
        self, body: Any = b"", path: str = READ, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> Answer:
        # The socket listens already: a request waits there until the server is up, and some wait until Feast is loaded.
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=180)
        with contextlib.closing(connection):
            connection.request(method, path, as_bytes(body), dict(as_json(headers)))
            found = connection.getresponse()
            return Answer(found.status, found.getheader("content-type"), found.read())

    def get(self, path: str) -> Answer:
        return self.ask(path=path, method="GET", headers={})

    def close(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.socket.close()


def as_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def as_json(headers: Mapping[str, str] | None) -> Mapping[str, str]:
    return {"content-type": "application/json"} if headers is None else headers


class Reference:
    """Feast's server, in this process."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def ask(
        self, body: Any = b"", path: str = READ, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> Answer:
        with contextlib.redirect_stderr(io.StringIO()):
            found = self._client.request(method, path, content=as_bytes(body), headers=as_json(headers))
        return Answer(found.status_code, found.headers.get("content-type"), found.content)


def write_repository(folder: Path, store: str) -> None:
    """The definitions, their files with a row each, and `feature_store.yaml` for one of the stores."""
    folder.mkdir(parents=True)
    shutil.copy(HERE / "repository" / "definitions.py", folder)
    (folder / "feature_store.yaml").write_text(SETTINGS.format(online=ONLINE[store]))
    times = {name: pa.array([MOMENT], pa.timestamp("us", "UTC")) for name in ("event_timestamp", "created")}
    for name, rows in ROWS.items():
        keys, values = rows[0]
        known = {key: [value] for key, value in {**keys, **values}.items() if isinstance(value, int | float | str)}
        if name == "rides":
            known |= {"seen": pa.array([MOMENT], pa.timestamp("us", "UTC")), "blob": [b"x"]}
        pq.write_table(pa.table(known | times), folder / f"{name}.parquet")


@contextlib.contextmanager
def opened(folder: Path) -> Iterator[Any]:
    """The repository's store, with its definitions importable."""
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sys.path.insert(0, str(folder))
        sys.modules.pop("definitions", None)
        try:
            from feast import FeatureStore

            yield FeatureStore(repo_path=str(folder))
        finally:
            sys.path.remove(str(folder))
            sys.modules.pop("definitions", None)


def apply(folder: Path) -> None:
    with opened(folder) as store:
        from feast.repo_operations import apply_total_with_repo_instance, parse_repo

        contents = parse_repo(folder)
        apply_total_with_repo_instance(store, store.project, store.registry, contents, skip_source_validation=True)
        if "Box" in store.config.online_store.type:
            from boxplat.features import catalog

            catalog.write(store)


def fill(folder: Path, moment: datetime = MOMENT, rows: Mapping[str, Sequence[Any]] = ROWS) -> None:
    """Rows by way of Feast's messages, which no conversion can have touched."""
    with opened(folder) as store:
        from feast import ValueType
        from feast.protos.feast.types.EntityKey_pb2 import EntityKey
        from feast.protos.feast.types.Value_pb2 import Value
        from feast.type_map import python_values_to_proto_values as messages

        for name, entries in rows.items():
            view = store.get_feature_view(name)
            kinds = {field.name: field.dtype.to_value_type() for field in [*view.entity_columns, *view.features]}
            batch = []
            for keys, values in entries:
                key = EntityKey(
                    join_keys=list(keys),
                    entity_values=[messages([keys[k]], kinds.get(k, ValueType.STRING))[0] for k in keys],
                )
                # Feast takes NaN for null when it makes messages of values.
                cells = {
                    field: Value(double_val=value) if value != value else messages([value], kinds[field])[0]
                    for field, value in values.items()
                }
                batch.append((key, cells, moment, moment))
            store._get_provider().online_write_batch(store.config, view, batch, None)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reference]:
    """Feast's own server over SQLite. No longer than its module: it changes the working directory."""
    folder = tmp_path_factory.mktemp("reference") / "repository"
    write_repository(folder, "feast")
    apply(folder)
    fill(folder)
    with opened(folder) as store:
        from feast.feature_server import get_app
        from starlette.testclient import TestClient

        logging.getLogger("fastapi").setLevel(logging.CRITICAL)
        with TestClient(get_app(store), raise_server_exceptions=False) as client:
            yield Reference(client)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows in our store."""
    folder = tmp_path_factory.mktemp("box") / "repository"
    write_repository(folder, "box")
    apply(folder)
    fill(folder)
    return folder


@pytest.fixture(scope="session")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(repository, tmp_path_factory.mktemp("log") / "server.log")
    yield running
    running.close()


def until(true: Any, seconds: float = 120.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.01)
