"""Answering a Bento service's requests without BentoML's layers around them.

An ASGI application in front of BentoML's own: a JSON request to a plain `@bentoml.api` is read, checked, computed and
written with BentoML's own models; everything else goes on to BentoML's application, in the same process and with the
same service object.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.responses import Response

from boxplat.serving.counting import Counters
from boxplat.serving.endpoint import Endpoint, plain
from boxplat.serving.refusal import Reply
from boxplat.serving.settings import Settings

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_JSON = b"application/json"


class Direct:
    """The application: BentoML's `app`, made by `factory`, with the eligible endpoints answered here."""

    def __init__(self, factory: Any, app: Any, settings: Settings) -> None:
        from bentoml._internal.configuration.containers import BentoMLContainer

        self._app = app
        self._factory = factory
        self._settings = settings
        self._endpoints: dict[str, Endpoint] = {}
        self._counters: Counters | None = None
        self._server = f"BentoML Service/{factory.service.name}".encode()
        self._format = BentoMLContainer.logging_formatting.get()["span_id"]
        self._timeout: float | None = factory.timeout

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._when_started(send))
            return
        endpoint = self._endpoints.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if endpoint is None or not _is_json(scope):
            await self._app(scope, receive, send)
            return
        body = await _body(receive)
        if body is not None:
            await self._answer(endpoint, body, scope, receive, send)

    def _when_started(self, send: Send) -> Send:
        """Endpoints can be answered once BentoML has made the service object."""

        async def sending(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._counters = Counters.of(self._app)
                self._endpoints = plain(self._factory)
            await send(message)

        return sending

    async def _answer(self, endpoint: Endpoint, body: bytes, scope: Message, receive: Receive, send: Send) -> None:
        from bentoml._internal.context import trace_context

        number = random.getrandbits(64)
        trace_context.request_id = number
        with self._counted(endpoint) as counted:
            reply = await self._reply(endpoint, body)
            if isinstance(reply, Response):
                counted.status = reply.status_code
                self._factory._add_response_headers(reply)
                await reply(scope, receive, send)
                return
            counted.status = reply.status
            headers = reply.headers()
            if reply.named:
                headers += [(b"server", self._server), (b"x-bentoml-request-id", format(number, self._format).encode())]
            await send({"type": "http.response.start", "status": reply.status, "headers": headers})
            await send({"type": "http.response.body", "body": reply.body})

    async def _reply(self, endpoint: Endpoint, body: bytes) -> Reply | Response:
        try:
            async with asyncio.timeout(self._timeout):
                return await endpoint.reply(body)
        except TimeoutError:
            why = f"Not able to process the request in {self._timeout} seconds"
            return Reply.json({"error": why}, 504, named=False)

    def _counted(self, endpoint: Endpoint) -> Any:
        assert self._counters is not None
        return self._counters.request(endpoint.path)


def _is_json(scope: Message) -> bool:
    """BentoML takes a request without a content type, and one of a type that it does not know, for JSON."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value.split(b";")[0].strip() == _JSON)
    return True


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None where the client has gone."""
    message = await receive()
    if message["type"] == "http.disconnect":
        return None
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
    return b"".join(parts)
