"""Logging what an application answers as it passes by, without changing it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from boxplat.serving import annotate
from boxplat.serving.log.observed import Observed
from tests.serving.log.logs import journal, rows

Asgi = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def started(status: int = 200, **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": status, "headers": pairs}


def part(body: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


async def echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Reads all, says what it read, and answers in two parts."""
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    annotate(keys={"size": size})
    await send(started(201, x_bentoml_request_id="00000000000000ff"))
    await send(part(b"first ", more=True))
    await send(part(b"second"))


def through(
    app: Asgi, folder: Path, parts: list[bytes], path: str = "/predict", header: bytes = b"accept", **limits: Any
) -> list[Any]:
    """One request through an observed application; returns the messages that it sent."""
    log = journal(folder, **limits)
    waiting = [{"type": "http.request", "body": one, "more_body": i + 1 < len(parts)} for i, one in enumerate(parts)]
    sent: list[Any] = []

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [(header, b"1")]}
    try:
        asyncio.run(Observed(app, log, {"/predict": "predict", "/batched": "b"}, {"/batched"})(scope, receive, send))
    finally:
        assert log.flush()
        log._writer.end(0, 0)
    return sent


def test_a_stream_is_one_record_with_what_was_said(tmp_path: Path) -> None:
    sent = through(echo, tmp_path / "log", [b"ab", b"", b"cd"])
    assert [message.get("body") for message in sent] == [None, b"first ", b"second"]
    (row,) = rows(tmp_path / "log")
    assert (row["input"], row["output"], row["status"], row["api"]) == ("abcd", "first second", 201, "predict")
    assert row["id"] == "00000000000000ff" and row["keys"] == '{"size":4}' and row["seconds"] > 0


@pytest.mark.parametrize("path", ["/predict", "/batched", "/other"])
def test_only_apis_are_logged(tmp_path: Path, path: str) -> None:
    """What is said where calls are computed together belongs to no request."""
    through(echo, tmp_path / "log", [b"x"], path)
    assert [row["keys"] for row in rows(tmp_path / "log")] == {
        "/predict": ['{"size":1}'],
        "/batched": [None],
        "/other": [],
    }[path]


def test_answers_of_a_shadow_are_marked(tmp_path: Path) -> None:
    """Nobody saw them: they must not be taken for what callers were told."""
    through(echo, tmp_path / "log", [b"x"], header=b"x-boxplat-shadow")
    through(echo, tmp_path / "log", [b"y"])
    assert {row["input"]: row["shadow"] for row in rows(tmp_path / "log")} == {"x": True, "y": None}


def test_large_bodies_are_cut_and_files_become_digests(tmp_path: Path) -> None:
    image = bytes(range(256)) * 300

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(started(x_bentoml_request_id="weird"))
        await send(part(b"x" * 3000))

    through(app, tmp_path / "log", [image], body=1000)
    (row,) = rows(tmp_path / "log")
    assert (row["id"], row["input"], row["input_bytes"]) == ("weird", None, len(image))
    assert row["input_sha256"] == hashlib.sha256(image).hexdigest()
    assert (row["output"], row["output_bytes"]) == ("x" * 1000, 3000)
    assert row["output_sha256"] == hashlib.sha256(b"x" * 3000).hexdigest()


def test_a_giant_body_is_not_kept_in_memory(tmp_path: Path) -> None:
    """Beyond what may wait, its beginning and its size are all that is kept."""
    sent = through(echo, tmp_path / "log", [b"z" * 10_000] * 100, memory=80_000, body=1000)
    assert sent[0]["status"] == 201
    (row,) = rows(tmp_path / "log")
    assert (row["input"], row["input_bytes"], row["input_sha256"]) == ("z" * 1000, 1_000_000, None)


@pytest.mark.parametrize("after", [False, True])
def test_an_application_that_breaks(tmp_path: Path, after: bool) -> None:
    """Its error goes on; what got no answer is no prediction."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if after:
            await send(started(500))
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        through(app, tmp_path / "log", [b""])
    assert len(rows(tmp_path / "log")) == after


def test_the_id_of_the_client_comes_first(tmp_path: Path) -> None:
    log = journal(tmp_path / "log")

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        return None

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "headers": [(b"x-request-id", "é".encode("latin-1")), (b"authorization", b"Bearer secret")],
    }
    asyncio.run(Observed(echo, log, {"/predict": "predict"})(scope, receive, send))
    log.flush()
    (row,) = rows(tmp_path / "log")
    assert row["id"] == "é"
    assert not any(b"secret" in path.read_bytes() for path in (tmp_path / "log").iterdir())
