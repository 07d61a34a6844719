"""Asking an ASGI application in the same process, one chunk of its answer after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

Headers = Sequence[tuple[bytes, bytes]]
App = Callable[..., Awaitable[None]]
# Of a request that carries another one.
_OWN = (b"content-", b"transfer-encoding", b"inference-header-content-length", b"accept-encoding", b"expect")


class Exchange:
    """One request to an application, and its answer as it comes."""

    def __init__(self, app: App, path: str, headers: Headers, body: bytes) -> None:
        self._messages: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue(1)
        self._unread: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": body}]
        self._task = asyncio.create_task(self._run(app, _scope(path, headers)))
        self.status = 0
        self.kind = ""

    async def start(self) -> None:
        """Wait for the status and the content type."""
        message = await self._messages.get()
        if message["type"] != "http.response.start":
            raise self._failure()
        self.status = message["status"]
        found = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}
        self.kind = found.get(b"content-type", b"").decode("latin-1")

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as the application sends it; empty chunks are left out."""
        more = True
        while more:
            message = await self._messages.get()
            if message["type"] != "http.response.body":
                raise self._failure()
            more = message.get("more_body", False)
            if message.get("body"):
                yield bytes(message["body"])

    async def body(self) -> bytes:
        """All of it."""
        return b"".join([chunk async for chunk in self.chunks()])

    async def close(self) -> None:
        """End the application's work, whether it is done or not."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, app: App, scope: dict[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            # After the last part of a whole answer nobody reads this.
            if not self._messages.full():
                self._messages.put_nowait({"type": "ended"})

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._unread:
            return self._unread.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")

    def _failure(self) -> BaseException:
        error = None if self._task.cancelled() or not self._task.done() else self._task.exception()
        return error or RuntimeError("the application ended without an answer")


@asynccontextmanager
async def asked(app: App, path: str, headers: Headers, body: bytes, kind: str) -> AsyncIterator[Exchange]:
    """An exchange whose answer has begun.

    Args:
        headers: of the request that it is asked for; what describes that one's own body is left out.
        kind: content type of `body`.
    """
    kept = [(name, value) for name, value in headers if not name.startswith(_OWN)]
    described = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
    exchange = Exchange(app, path, [*kept, *described], body)
    try:
        await exchange.start()
        yield exchange
    finally:
        await exchange.close()


def _scope(path: str, headers: Headers) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": list(headers),
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 0),
        "state": {},
    }
