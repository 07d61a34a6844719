"""Requests whose body is too large, refused before an application has read them into memory."""

from __future__ import annotations

from dataclasses import dataclass

from boxplat.serving.http.asgi import App, Message, Receive, Send, header
from boxplat.serving.http.refusal import Reply


def too_large(most: int) -> Reply:
    """The answer to a body above the limit, in bytes."""
    return Reply.json({"error": f"the body is larger than {most} bytes"}, 413, named=False)


def declared(scope: Message) -> int:
    """The size of the body, in bytes, that the request's head names; 0: it names none."""
    length = header(scope["headers"], b"content-length") or b""
    return int(length) if length.isdigit() else 0


def guarded(app: App, most: int | None) -> App:
    """An ASGI application that never sees more than so many bytes of a body; None: any number.

    A head that names a larger body is answered with 413 at once. Of a body without a length the bytes are counted: the
    application hears that the client has gone when there are too many, and its answer to that is replaced by the 413.
    """
    if most is None:
        return app
    limit = most

    async def guarding(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif declared(scope) > limit:
            await _refuse(limit, send)
        else:
            counting = _Counting(receive, send, limit)
            try:
                await app(scope, counting.receive, counting.send)
            except Exception:
                # What an application raises because the rest of the body is kept from it is no news.
                if not counting.exceeded:
                    raise
            if counting.exceeded and not counting.answered:
                await _refuse(limit, send)

    return guarding


@dataclass
class _Counting:
    """One request's messages, until its body is too large."""

    take: Receive
    give: Send
    most: int
    seen: int = 0
    answered: bool = False

    @property
    def exceeded(self) -> bool:
        return self.seen > self.most

    async def receive(self) -> Message:
        if not self.exceeded:
            message = await self.take()
            self.seen += len(message.get("body", b""))
            if not self.exceeded:
                return message
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.answered or not self.exceeded:
            self.answered = True
            await self.give(message)


async def _refuse(most: int, send: Send) -> None:
    reply = too_large(most)
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers()})
    await send({"type": "http.response.body", "body": reply.body})
