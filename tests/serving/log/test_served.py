"""An endpoint's log from end to end: what clients were answered is what is in it."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tests.serving.conftest import worker
from tests.serving.log.logs import compacted, rows

pytestmark = pytest.mark.integration
HERE = Path(__file__).with_name("annotated")
_CLIENTS = 8
_EACH = 40


@dataclass
class Asked:
    """One request as its client saw it."""

    api: str
    body: dict[str, Any]
    status: int = 0
    answer: str = ""
    id: str = ""


@dataclass
class Client:
    """Asks one request after the other on one connection."""

    url: str
    number: int
    asked: list[Asked] = field(default_factory=list)

    def bodies(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for turn in range(_EACH):
            value = self.number * 1000 + turn
            yield (
                ("rows", {"values": [value, value + 500, value + 700][: turn % 4]}),
                ("one", {"value": value}),
                ("batched", {"values": [[value]] * (1 + turn % 3)}),
                ("counted", {"until": turn % 5}),
                ("broken", {"value": value}),
                ("one", {"value": "none"}),
            )[turn % 6]

    def run(self) -> list[Asked]:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        for api, body in self.bodies():
            given = {"x-request-id": f"client-{self.number}-{len(self.asked)}"} if len(self.asked) % 2 else {}
            connection.request("POST", f"/{api}", json.dumps(body), {"content-type": "application/json", **given})
            answer = connection.getresponse()
            text = answer.read().decode()
            name = given.get("x-request-id") or answer.headers["x-bentoml-request-id"]
            self.asked.append(Asked(api, body, answer.status, text, name))
        connection.close()
        return self.asked


def asked_of(url: str) -> dict[str, Asked]:
    with ThreadPoolExecutor(_CLIENTS) as pool:
        done = pool.map(lambda number: Client(url, number).run(), range(_CLIENTS))
        return {one.id: one for asked in done for one in asked}


def values_of(one: Asked) -> list[int]:
    """The keys that the service says for a request, row by row; none where it says nothing."""
    if one.api == "rows":
        return list(one.body["values"])
    if one.api == "batched":
        return [row[0] for row in one.body["values"]]
    value = one.body.get("value", one.body.get("until"))
    return [value] if isinstance(value, int) else []


def test_rows_equal_what_was_answered(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    flags = ["--log", str(folder), "--keep-alive", "600"]
    environment = {"BOXPLAT_ENDPOINT": "annotated", "BOXPLAT_RELEASE": "4"}
    with worker(HERE, "service:Annotated", tmp_path / "first", *flags, **environment) as (url, process):
        answered = asked_of(url)
        process.terminate()
        psutil.wait_procs([process], timeout=60)
    assert len(answered) == _CLIENTS * _EACH
    for when in ("in the spool", "in Parquet"):
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows(folder):
            found.setdefault(row["id"], []).append(row)
        assert found.keys() == answered.keys(), when
        for name, one in answered.items():
            _compare(one, found[name])
        compacted(folder)


def _compare(one: Asked, logged: list[dict[str, Any]]) -> None:
    first = logged[0]
    assert (first["api"], first["status"], first["release"], first["problem"]) == (one.api, one.status, 4, None), one
    assert json.loads(first["input"]) == one.body
    assert first["output"] == one.answer
    values = values_of(one)
    assert [row["row"] for row in logged] == list(range(max(1, len(values))))
    assert [json.loads(row["keys"])["value"] for row in logged if row["keys"]] == values
    if one.api in ("rows", "batched", "one"):
        assert [json.loads(row["prediction"]) for row in logged if row["prediction"]] == [value + 1 for value in values]
    assert first["batch"] >= len(values) if one.api == "batched" else first["batch"] >= 1


def test_killed_and_taken_over(tmp_path: Path) -> None:
    """kill -9: what a client was answered before the spool grew last is there; the next worker tidies up."""
    folder = tmp_path / "log"
    flags = ["--log", str(folder), "--keep-alive", "600"]
    with worker(HERE, "service:Annotated", tmp_path / "first", *flags) as (url, process):
        answered = asked_of(url)
        while len({row["id"] for row in rows(folder)} if folder.exists() else ()) < len(answered):
            time.sleep(0.05)
        process.kill()
    with worker(HERE, "service:Annotated", tmp_path / "second", *flags):
        while not list(folder.glob("*.parquet")):
            time.sleep(0.05)
    assert {row["id"] for row in rows(folder)} == answered.keys()
