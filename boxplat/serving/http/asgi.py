"""What ASGI applications say to each other, and what a request tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
_JSON = b"application/json"
_LONGEST_ID = 128


def turning(send: Send) -> Send:
    """A `send` that lets the event loop turn between the parts of a stream: one whose client has gone can then end."""

    async def sending(message: Message) -> None:
        await send(message)
        if message.get("more_body"):
            await asyncio.sleep(0)

    return sending


def header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    """The first value of a header; None where it is not there."""
    for key, value in headers:
        if key == name:
            return value
    return None


def is_json(scope: Message) -> bool:
    """BentoML takes a request without a content type, and one of a type that it does not know, for JSON."""
    kind = header(scope["headers"], b"content-type")
    return kind is None or kind.split(b";")[0].strip() == _JSON


def client_of(scope: Message) -> str:
    """Whom a request comes from: the name that a gateway gives, or the address."""
    named = header(scope["headers"], b"x-client-id")
    if named is not None:
        return named.decode("latin-1")
    return str(scope["client"][0]) if scope.get("client") else ""


def given_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id that the client gave its request; empty where it gave none."""
    return (header(headers, b"x-request-id") or b"")[:_LONGEST_ID].decode("latin-1")


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
