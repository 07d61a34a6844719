"""The ASGI application: bodies read within limits, routes, errors as answers, every request counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from boxplat.core.errors import BoxError
from boxplat.features.server import refusal
from boxplat.features.server.forms import READ, SHAPES, Form, quick
from boxplat.features.server.metrics import Metrics
from boxplat.features.server.refusal import Refused
from boxplat.features.server.validation import Validator
from boxplat.serving.http.asgi import Message, Receive, Send
from boxplat.serving.http.patience import Patience

Route = Callable[[Form], Awaitable["Reply"]]
AtOnce = Callable[[Form], bytes | None]

JSON = b"application/json"
MOST_BYTES = 64 * 1024 * 1024
_CLOSE = ((b"connection", b"close"),)
_LOCAL = (b"127.0.0.1", b"localhost", b"[::1]")
_log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Reply:
    """What a route answers."""

    body: bytes = b""
    content_type: bytes = JSON


class Application:
    """HTTP around the routes.

    Args:
        routes: by path and method. A POST route gets the request's form, a GET route an empty one.
        read: the route of reads for those that need not be waited for; None for any other.

    Attributes:
        patience: with clients that send too slowly.
    """

    def __init__(
        self, routes: Mapping[str, tuple[str, Route]], metrics: Metrics, read: AtOnce = lambda form: None
    ) -> None:
        self._routes = routes
        self._metrics = metrics
        self._read = read
        self._validator = Validator()
        self.patience = Patience()

    def at_once(self, content_type: bytes, body: bytes) -> bytes | None:
        """The answer to a read, None where it takes waiting or is an error: then the application has to be called."""
        began = time.perf_counter()
        try:
            form = quick(READ, body, content_type)
            answer = None if form is None else self._read(form)
        # Whatever it is, it is met again, told and counted on the way through the application.
        except Exception:
            return None
        if answer is not None:
            self._metrics.answered(READ, 200, time.perf_counter() - began)
        return answer

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        began = time.perf_counter()
        path = scope["path"]
        extra: tuple[tuple[bytes, bytes], ...] = ()
        try:
            reply = await self._reply(path, scope, receive)
            status, body, content_type = 200, reply.body, reply.content_type
        except Refused as answer:
            status, body, content_type, extra = answer.status, answer.body, JSON, answer.headers
        headers = [(b"content-length", str(len(body)).encode()), *extra]
        if body:
            headers.append((b"content-type", content_type))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self._metrics.answered(path if path in self._routes else "other", status, time.perf_counter() - began)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.patience.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.patience.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _reply(self, path: str, scope: Message, receive: Receive) -> Reply:
        method, route = self._routes.get(path, ("", None))
        if route is None:
            raise refusal.no_such()
        if scope["method"] != method:
            raise refusal.no_method(method)
        content_type = checked(scope["headers"])
        try:
            return await route(await self._form(path, scope, receive, content_type) if method == "POST" else {})
        except Refused:
            raise
        except BoxError as error:
            raise refusal.of_box(error) from error
        # A fault of ours must not end the server, nor leave the client without an answer.
        except Exception as error:
            _log.exception("%s %s failed", method, path)
            raise Refused(refusal.SERVER_ERROR, f"{type(error).__name__}: {error}") from error

    async def _form(self, path: str, scope: Message, receive: Receive, content_type: bytes) -> Form:
        body = await _body(receive)
        if path not in SHAPES:
            return {}
        form = quick(path, body, content_type)
        return form if form is not None else await self._validator.form(scope, body)


def checked(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The content type, empty when not told. Requests that a web page makes a browser send here are refused."""
    content_type = b""
    for name, value in headers:
        if name == b"content-type":
            content_type = value
        elif name == b"host" and _host(value) not in _LOCAL:
            raise Refused(refusal.FORBIDDEN, "the server is asked by its loopback address only")
        elif name == b"origin" and _host(value.partition(b"://")[2]) not in _LOCAL:
            raise Refused(refusal.FORBIDDEN, "requests from web pages are not taken")
    return content_type


def _host(value: bytes) -> bytes:
    """The name without its port."""
    return value[: value.find(b"]") + 1] if value.startswith(b"[") else value.partition(b":")[0]


async def _body(receive: Receive) -> bytes:
    """The whole body.

    Raises:
        Refused: too large, or the client went away.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(refusal.BAD_REQUEST, "the client went away", _CLOSE)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BYTES:
            raise Refused(refusal.TOO_LARGE, f"a body has at most {MOST_BYTES} bytes", _CLOSE)
        more = message.get("more_body", False)
    return b"".join(parts)
