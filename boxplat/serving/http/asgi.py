"""What ASGI applications say to each other, and what a request tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_JSON = b"application/json"


def turning(send: Send) -> Send:
    """A `send` that lets the event loop turn between the parts of a stream: one whose client has gone can then end."""

    async def sending(message: Message) -> None:
        await send(message)
        if message.get("more_body"):
            await asyncio.sleep(0)

    return sending


def is_json(scope: Message) -> bool:
    """BentoML takes a request without a content type, and one of a type that it does not know, for JSON."""
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value.split(b";")[0].strip() == _JSON)
    return True


def client_of(scope: Message) -> str:
    """Whom a request comes from: the name that a gateway gives, or the address."""
    for name, value in scope["headers"]:
        if name == b"x-client-id":
            return bytes(value).decode("latin-1")
    return str(scope["client"][0]) if scope.get("client") else ""


async def body_of(receive: Receive) -> bytes | None:
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
