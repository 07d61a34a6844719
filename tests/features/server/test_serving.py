"""The server as a process: start, stop, load, limits, and changes of the repository while it runs."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from boxplat.features import catalog
from boxplat.features.rows import Store
from boxplat.features.server import http as serving
from boxplat.features.server.metrics import Metrics
from boxplat.features.server.project import Project
from tests.features.server.conftest import ONLINE, READ, SETTINGS, Server, apply, fill, until, write_repository

pytestmark = pytest.mark.integration
DRIVER = {"features": ["every:i64"], "entities": {"driver_id": [1]}}


def test_a_start_loads_neither_feast_nor_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import boxplat.features.server.main\n"
        "from boxplat.features.server.routes import application\n"
        f"application(Path({str(tmp_path)!r}))\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert not loaded & {"feast", "pandas", "duckdb", "fastapi", "pydantic", "mlflow", "sqlalchemy"}


def test_what_cannot_be_served_is_said_in_four_parts(tmp_path: Path) -> None:
    """A port that is taken, one that is none, and a mistyped folder, which would be healthy and empty for ever."""
    taken = socket.create_server(("127.0.0.1", 0))
    with taken:
        cases = [
            (tmp_path, str(taken.getsockname()[1]), 4, "Address already in use"),
            (tmp_path, "99999", 4, "0-65535"),
            (tmp_path / "nowhere", "0", 9, "there is no such folder"),
        ]
        for folder, port, code, why in cases:
            command = [sys.executable, "-m", "boxplat.features.server.main", str(folder), "--port", port]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
            assert done.returncode == code and done.stderr.startswith("error: ")
            assert f"why: {why}" in done.stderr.replace("[Errno 98] ", "").replace("bind(): port must be ", "")
            assert "Traceback" not in done.stderr


def test_nothing_applied_is_healthy_and_empty_until_something_is(tmp_path: Path) -> None:
    repo = tmp_path / "repository"
    write_repository(repo, "box")
    server = Server(repo, tmp_path / "log")
    try:
        assert server.get("/health").status == 200
        assert server.get("/metrics").status == 200
        answer = server.ask(DRIVER)
        assert answer.status == 503 and "box features apply" in answer.json
        apply(repo)
        fill(repo)
        until(lambda: server.ask(DRIVER).status == 200)
        # A project that has changed: seen by name at once, without a restart.
        definitions = repo / "definitions.py"
        more = '\nnewer = FeatureService(name="newer", features=[cities])\n'
        definitions.write_text(definitions.read_text() + more)
        apply(repo)
        assert server.ask({"feature_service": "newer", "entities": {"city": ["a"]}}).status == 200
    finally:
        server.close()


def test_a_catalog_that_nobody_wrote_is_made(tmp_path: Path) -> None:
    repo = tmp_path / "repository"
    write_repository(repo, "box")
    apply(repo)
    made = list((repo / "online").glob("*.catalog.json"))
    assert len(made) == 1
    made[0].unlink()
    server = Server(repo, tmp_path / "log")
    try:
        assert server.ask(DRIVER).column("i64")["statuses"] == ["NOT_FOUND"]
        assert catalog.load(repo) is not None
    finally:
        server.close()


def test_what_is_applied_while_an_earlier_change_is_read_is_found(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that came after an apply waits for no reading alone that began before it."""
    repo = Path(shutil.copytree(repository, tmp_path / "repository"))
    after, settings = catalog.load(repository), catalog.settings(repo)
    assert after is not None and settings is not None
    before, registry = replace(after, services={}), settings.registry
    monkeypatch.setattr(catalog, "load", lambda _: before)
    project = Project(repo)

    def applied_meanwhile(_: Path) -> catalog.Catalog:
        os.utime(registry, ns=(2, 2))
        monkeypatch.setattr(catalog, "load", lambda _: after)
        return before

    monkeypatch.setattr(catalog, "load", applied_meanwhile)
    os.utime(registry, ns=(1, 1))
    served, _ = asyncio.run(project.plan("mixed", (), full=False))
    assert served is not None and served.catalog == after


def test_no_request_fails_or_mixes_rows_while_loads_replace_them(repository: Path, server: Server) -> None:
    """Each load writes one number into every field of every row: an answer has one number, and never an older one."""
    store = Store(repository / "online" / "wild")
    count, keys = 200, np.arange(1000, 1200)
    body = json.dumps({"features": ["rides:km", "rides:count"], "entities": {"driver_id": [1000, 1199]}}).encode()
    over = threading.Event()
    wrong: list[str] = []
    answered = [0] * 4

    def load(generation: int) -> None:
        with store.load("rides") as loading:
            event = np.full(count, 1_800_000_000_000_000 + generation)
            columns = {
                "km": np.full(count, float(generation)),
                "count": np.full(count, generation),
                "seen": event.view("datetime64[us]"),
                "blob": [b""] * count,
            }
            loading.write(0, 1, {"driver_id": keys}, event, None, list(columns.items()))
            loading.commit(int(event[0]))

    def ask(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
        last = 0.0
        while not over.is_set():
            connection.request("POST", READ, body, {"content-type": "application/json"})
            found = connection.getresponse()
            results = json.loads(found.read())["results"] if found.status == 200 else []
            seen = {value for result in results[1:] for value in result["values"]}
            if found.status != 200 or len(seen) != 1 or min(seen) < last:
                wrong.append(f"{found.status} {seen} after {last}")
                return
            last = min(seen)
            answered[number] += 1

    load(1)
    clients = [threading.Thread(target=ask, args=(number,)) for number in range(len(answered))]
    for client in clients:
        client.start()
    generation, end = 1, time.monotonic() + 120
    while generation < 20 or (min(answered) < 20 and not wrong and time.monotonic() < end):
        generation += 1
        load(generation)
    over.set()
    for client in clients:
        client.join()
    assert wrong == []
    assert min(answered) >= 20


def test_a_request_under_way_is_answered_after_sigterm(repository: Path, tmp_path: Path) -> None:
    server = Server(repository, tmp_path / "log", patient=True)
    body = json.dumps(DRIVER).encode()
    lines = [f"POST {READ} HTTP/1.1", "host: localhost", "content-type: application/json"]
    head = "\r\n".join([*lines, f"content-length: {len(body)}", "", ""])
    try:
        assert server.get("/health").status == 200
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
            connection.sendall(head.encode() + body[:5])
            # The server has the first part when it answers another request that came later.
            assert server.get("/health").status == 200
            server.process.send_signal(signal.SIGTERM)
            connection.sendall(body[5:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        assert server.process.wait(60) in (0, -signal.SIGTERM)
    finally:
        server.close()


def test_metrics_are_prometheus_text_and_count(server: Server) -> None:
    def counted() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(server.get("/metrics").body.decode())
        return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}

    before = counted()
    server.ask(DRIVER | {"entities": {"driver_id": [1, 2, 9]}})
    server.ask({"features": ["zap:zip"], "entities": {"driver_id": [1]}})
    server.get("/random/path")
    after = counted()

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("feast_feature_server_request_total", "/get-online-features", "200") == 1
    assert grown("feast_feature_server_request_total", "/get-online-features", "404") == 1
    assert grown("feast_feature_server_request_total", "404", "other") == 1
    assert grown("feast_feature_server_request_latency_seconds_count", "/get-online-features") == 2
    assert grown("feast_online_features_entity_count_sum") == 3
    for status in ("present", "null_value", "not_found"):
        assert grown("feast_online_features_status_total", "every", status) == 1
    assert after["boxplat_feature_view_rows", "every"] == 3
    assert after["boxplat_feature_view_newest_event_timestamp_seconds", "every"] == 1767323045
    assert after["boxplat_feature_view_stale", "short"] == 1
    assert after["boxplat_feature_view_ttl_seconds", "short"] == 3600


@pytest.mark.parametrize("headers", [{"origin": "http://evil.example"}, {"host": "evil.example"}])
def test_a_web_page_cannot_use_the_server(headers: dict[str, str], server: Server) -> None:
    assert server.ask(DRIVER, headers={"content-type": "application/json"} | headers).status == 403


def test_a_local_page_can(server: Server) -> None:
    headers = {"content-type": "application/json", "origin": "http://localhost:8080", "host": "[::1]:1"}
    assert server.ask(DRIVER, headers=headers).status == 200


@pytest.mark.parametrize("path", ["/materialize", "/materialize-incremental", "/search"])
def test_what_is_elsewhere_says_where(path: str, server: Server) -> None:
    answer = server.ask({}, path)
    assert answer.status == 501 and answer.json


def asked(
    app: serving.Application, receive: Callable[[], Awaitable[dict[str, Any]]], headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """Status and body of one request to an application, without a socket."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": READ, "method": "POST", "headers": headers}
    asyncio.run(app(scope, receive, send))
    return sent[0]["status"], sent[1]["body"]


async def _echo(form: dict[str, Any]) -> serving.Reply:
    return serving.Reply(b"[]")


def test_a_body_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    app = serving.Application({READ: ("POST", _echo)}, Metrics())
    monkeypatch.setattr(serving, "MOST_BYTES", 1000)

    async def endless() -> dict[str, Any]:
        return {"type": "http.request", "body": b" " * 300, "more_body": True}

    assert asked(app, endless, [])[0] == 413


def test_a_fault_is_an_answer_and_not_the_end() -> None:
    async def broken(form: dict[str, Any]) -> serving.Reply:
        raise RuntimeError("odd")

    async def whole() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(DRIVER).encode(), "more_body": False}

    app = serving.Application({READ: ("POST", broken)}, Metrics())
    status, body = asked(app, whole, [(b"content-type", b"application/json")])
    assert (status, json.loads(body)) == (500, "RuntimeError: odd")


def test_the_supervisor_runs_it_only_over_our_own_store(tmp_path: Path) -> None:
    from boxplat.core.config import Config
    from boxplat.core.paths import Paths
    from boxplat.declarations import services

    repo = tmp_path / "feature_repo"
    repo.mkdir()
    for store, names in (("feast", ["tracking"]), ("box", ["tracking", "features"])):
        (repo / "feature_store.yaml").write_text(SETTINGS.format(online=ONLINE[store]))
        assert [service.name for service in services(Config(), Paths(tmp_path))] == names
    text = SETTINGS.format(online=ONLINE["feast"]) + "# type: boxplat.features.BoxOnlineStore\n"
    (repo / "feature_store.yaml").write_text(text)
    assert [service.name for service in services(Config(), Paths(tmp_path))] == ["tracking"]
