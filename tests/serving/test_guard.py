"""Bodies that are too large never reach the application."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from boxplat.serving.http.guard import guarded

READ: list[int] = []


async def reading(request: Request) -> Response:
    """As BentoML's application: whatever goes wrong while it reads becomes an answer of its own."""
    try:
        READ.append(len(await request.body()))
    except ClientDisconnect:
        return JSONResponse({"error": "unexpected"}, 500)
    return JSONResponse({"size": READ[-1]})


async def early(request: Request) -> Response:
    """Answers before it has read."""
    return JSONResponse({"size": None})


async def raising(request: Request) -> Response:
    await request.body()
    return JSONResponse({})


APP = Starlette(routes=[Route(f"/{one.__name__}", one, methods=["POST"]) for one in (reading, early, raising)])


def ask(path: str, parts: list[bytes], most: int | None, length: int | None = None) -> tuple[int, Any, int]:
    """Status and content of the answer, and how many messages of the body were taken."""
    headers = [(b"content-length", str(length).encode())] if length is not None else []
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "query_string": b"", "app": None}
    waiting, sent = list(parts), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(guarded(APP, most)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return sent[0]["status"], json.loads(sent[1]["body"]), len(parts) - len(waiting)


def test_a_head_that_names_too_much_is_refused_before_anything_is_read() -> None:
    assert ask("/reading", [b"x" * 11], 10, 11) == (413, {"error": "the body is larger than 10 bytes"}, 0)
    assert ask("/early", [b"x" * 11], 10, 11)[0] == 413


@pytest.mark.parametrize("path", ["/reading", "/raising"])
def test_of_a_body_without_a_length_no_more_is_read_than_allowed(path: str) -> None:
    """Also where the application makes an answer of the broken request, or raises."""
    READ.clear()
    status, content, taken = ask(path, [b"x" * 4] * 1000, 10)
    assert (status, content, taken) == (413, {"error": "the body is larger than 10 bytes"}, 3) and not READ


def test_what_is_allowed_passes_and_so_does_everything_without_a_limit() -> None:
    assert ask("/reading", [b"x" * 5, b"x" * 5], 10) == (200, {"size": 10}, 2)
    assert ask("/reading", [b"x" * 10], 10, 10)[0] == 200
    assert ask("/reading", [b"x" * 5] * 5, None, 25) == (200, {"size": 25}, 5)
    assert ask("/early", [b"x" * 5] * 5, 10)[:2] == (200, {"size": None})
