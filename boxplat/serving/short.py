"""One request on the short way: from a body to an answer, with no task of its own."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from boxplat.serving.calling import Begun
from boxplat.serving.endpoint import Endpoint, is_no_value
from boxplat.serving.refusal import Reply, refusal, timed_out
from boxplat.serving.waitlist import Waiting

if TYPE_CHECKING:
    from boxplat.serving.connection import Connection
    from boxplat.serving.direct import Direct

# As nginx counts a request whose client went away before it was answered.
_GONE = 499


class Short:
    """A request that is being answered.

    Attributes:
        began: moment of `time.perf_counter`.
    """

    __slots__ = ("_begun", "_body", "_connection", "_direct", "_endpoint", "_number", "began")

    def __init__(
        self, connection: Connection, direct: Direct, endpoint: Endpoint, body: bytes, number: int, began: float
    ) -> None:
        self._connection: Connection | None = connection
        self._direct = direct
        self._endpoint = endpoint
        self._body = body
        self._number = number
        self._begun: Begun | None = None
        self.began = began

    def begin(self, client: str) -> None:
        """Read the request and let its call in; whatever is wrong is the answer."""
        direct, endpoint = self._direct, self._endpoint
        assert direct.counters is not None
        direct.counters.began(endpoint.path)
        direct.patience.answers[self] = None
        direct.tell_request(self._number)
        try:
            args, kwargs = endpoint.read(self._body)
            self._begun = endpoint.caller.begin(args, kwargs, client, self._done)
        except Exception as error:
            self._done(None, error)

    def expire(self) -> None:
        """The answer took too long."""
        if self._begun is not None:
            self._begun.cancel()
        self._answer(timed_out(self._direct.timeout))

    def lose(self) -> None:
        """The client has gone: what nobody waits for is not begun, what runs may end."""
        if isinstance(self._begun, Waiting):
            self._begun.cancel()
        self._end(_GONE)

    def _done(self, value: Any, error: BaseException | None) -> None:
        if self._connection is None:
            return
        try:
            if error is not None:
                raise error
            if isinstance(value, Response) or is_no_value(value):
                self._respond(value)
                return
            reply = Reply(200, *self._endpoint.write(value))
        except BaseException as raised:
            reply = refusal(raised, self._endpoint.path)
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        connection = self._connection
        if connection is not None:
            self._end(reply.status)
            connection.answer(reply, self._number)

    def _respond(self, value: Any) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        connection.respond(partial(self._sent, value), self._endpoint.path)

    async def _sent(self, value: Any, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application of this one answer."""
        try:
            answer = value if isinstance(value, Response) else await self._endpoint.respond(value)
        except Exception as error:
            answer = refusal(error, self._endpoint.path).response()
        try:
            answer.headers.update({name.decode(): text.decode() for name, text in self._direct.named(self._number)})
            await answer(scope, receive, send)
        finally:
            self._end(answer.status_code)

    def _end(self, status: int) -> None:
        self._connection = None
        self._direct.patience.answers.pop(self, None)
        assert self._direct.counters is not None
        self._direct.counters.ended(self._endpoint.path, status, time.perf_counter() - self.began)
