"""Logging what BentoML's own application answers: what streams, takes files or a context."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from boxplat.serving.http.asgi import Message, Receive, Send, given_id, header
from boxplat.serving.log import annotation
from boxplat.serving.log.columns import Cut
from boxplat.serving.log.journal import Journal
from boxplat.serving.log.marks import SHADOW, WARMUP

_ID = b"x-bentoml-request-id"
_HEXADECIMAL = re.compile(rb"[0-9a-f]{16}")


@dataclass(slots=True)
class _Body:
    """A body as it passes by: its size, and what of it is kept for the log."""

    most: int
    size: int = 0
    parts: list[bytes] = field(default_factory=list)

    def add(self, part: bytes) -> None:
        if self.size < self.most and part:
            self.parts.append(part)
        self.size += len(part)

    def kept(self) -> bytes:
        body = self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)
        if len(body) == self.size:
            return bytes(body)
        cut = Cut(body[: self.most])
        cut.size = self.size
        return cut


class Observed:
    """An application whose answers to some routes are logged.

    Args:
        app: the application.
        apis: names of the APIs by path. Only POST requests are theirs.
        together: paths whose calls may be computed together with others; what is said there belongs to no request.
    """

    def __init__(self, app: Any, journal: Journal, apis: Mapping[str, str], together: Collection[str] = ()) -> None:
        self._app = app
        self._journal = journal
        self._apis = apis
        self._together = frozenset(together)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        api = self._apis.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if api is None:
            await self._app(scope, receive, send)
            return
        if header(scope["headers"], WARMUP) is not None:
            # What the connection answered before may still be open in this context.
            annotation.close()
            await self._app(scope, receive, send)
            return
        slip = annotation.opened()
        if header(scope["headers"], SHADOW) is not None:
            slip.append(annotation.SHADOWED)
        if scope["path"] in self._together:
            annotation.close()
        seen = _Seen(self._journal, api, given_id(scope["headers"]))
        try:
            await self._app(scope, seen.receiving(receive), seen.sending(send))
        finally:
            seen.note(slip)


class _Seen:
    """One request and its answer."""

    def __init__(self, journal: Journal, api: str, given: str) -> None:
        self._journal = journal
        self._api = api
        self._id: int | str = given
        self._began, self._since = time.time_ns(), time.perf_counter_ns()
        self._body, self._answer = _Body(journal.largest), _Body(journal.largest)
        self._status = 0
        self._ended = self._since

    def receiving(self, receive: Receive) -> Receive:
        async def observed() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                self._body.add(message.get("body", b""))
            return message

        return observed

    def sending(self, send: Send) -> Send:
        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._status = message["status"]
                self._id = self._id or _number(header(message.get("headers", ()), _ID) or b"")
            elif message["type"] == "http.response.body":
                self._answer.add(message.get("body", b""))
            await send(message)
            self._ended = time.perf_counter_ns()

        return observed

    def note(self, slip: annotation.Slip) -> None:
        """A request that got no answer is no prediction."""
        if self._status:
            number = self._id or random.getrandbits(64)
            latency = self._ended - self._since
            bodies = self._body.kept(), self._answer.kept()
            self._journal.note(number, self._began, latency, self._api, self._status, 1, *bodies, slip)


def _number(text: bytes) -> int | str:
    """BentoML's own ids are 64 bits in hexadecimal, unless it is configured otherwise."""
    return int(text, 16) if _HEXADECIMAL.fullmatch(text) else text.decode("latin-1")
