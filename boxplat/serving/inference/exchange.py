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
        self._error: Exception | None = None
        self.status = 0
        self.headers: dict[bytes, bytes] = {}

    @property
    def kind(self) -> str:
        """The content type."""
        return self.headers.get(b"content-type", b"").decode("latin-1")

    async def start(self) -> None:
        """Wait for the status and the headers."""
        message = await self._next("http.response.start")
        self.status = message["status"]
        self.headers = {bytes(name).lower(): bytes(value) for name, value in message.get("headers", ())}

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, as the application sends it; empty chunks are left out."""
        more = True
        while more:
            message = await self._next("http.response.body")
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
        except Exception as error:
            self._error = error
        # After a whole answer nobody reads this, until `close`.
        await self._messages.put({"type": "ended"})

    async def _next(self, kind: str) -> MutableMapping[str, Any]:
        message = await self._messages.get()
        if message["type"] != kind:
            raise self._error or RuntimeError("the application ended without an answer")
        return message

    async def _receive(self) -> MutableMapping[str, Any]:
        if self._unread:
            return self._unread.pop()
        await asyncio.get_running_loop().create_future()
        raise AssertionError("unreachable")


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
