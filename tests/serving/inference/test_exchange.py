"""Asking an application in process: one that fails at any moment is an error, and never waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from boxplat.serving.inference.exchange import asked

_START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/plain")]}


async def _silent(scope: Any, receive: Any, send: Any) -> None:
    return


async def _early(scope: Any, receive: Any, send: Any) -> None:
    raise ValueError("early")


async def _late(scope: Any, receive: Any, send: Any) -> None:
    await send(_START)
    raise ValueError("late")


async def _between(scope: Any, receive: Any, send: Any) -> None:
    await send(_START)
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("between")


async def _whole(app: Any) -> bytes:
    async with (
        asyncio.timeout(60),
        asked(app, "/x", [(b"content-type", b"x"), (b"x-a", b"b")], b"in", "text/in") as one,
    ):
        assert (one.status, one.kind) == (200, "text/plain")
        return await one.body()


@pytest.mark.parametrize(
    ("app", "error"),
    [(_silent, RuntimeError), (_early, ValueError), (_late, ValueError), (_between, ValueError)],
    ids=lambda one: one.__name__,
)
def test_failures(app: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        asyncio.run(_whole(app))


def test_what_the_application_sees() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(headers=dict(scope["headers"]), message=await receive())
        await send(_START)
        for part in (b"a", b"", b"b"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    assert asyncio.run(_whole(app)) == b"ab"
    assert seen["headers"] == {b"content-type": b"text/in", b"content-length": b"2", b"x-a": b"b"}
    assert seen["message"] == {"type": "http.request", "body": b"in"}


def test_a_stream_that_is_left_ends_its_application() -> None:
    ended: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            await send(_START)
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
        finally:
            ended.append(True)

    async def first() -> bytes:
        async with asked(app, "/x", [], b"", "") as one:
            async for chunk in one.chunks():
                return chunk
        raise AssertionError("no chunk")

    assert asyncio.run(first()) == b"x"
    assert ended == [True]
