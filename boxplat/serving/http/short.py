"""One request on the short way: from a body to an answer, with no task of its own."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from boxplat.serving.calls.calling import CLIENT, Begun
from boxplat.serving.calls.waitlist import Waiting
from boxplat.serving.counting import GONE
from boxplat.serving.endpoint import Endpoint, is_no_value
from boxplat.serving.http.asgi import turning
from boxplat.serving.http.refusal import Reply, refusal, timed_out
from boxplat.serving.log import annotation
from boxplat.serving.log.annotation import Slip

if TYPE_CHECKING:
    from boxplat.serving.direct import Direct
    from boxplat.serving.http.shortcut import Shortcut

# Nothing was predicted for these.
_UNLOGGED = (GONE, 429)


class Short:
    """A request that is being answered.

    Attributes:
        began: moment of `time.perf_counter`.
    """

    __slots__ = ("_begun", "_body", "_connection", "_direct", "_endpoint", "_given", "_number", "_slip", "began")

    def __init__(
        self,
        connection: Shortcut,
        direct: Direct,
        endpoint: Endpoint,
        body: bytes,
        number: int,
        given: str,
        began: float,
    ) -> None:
        self._connection: Shortcut | None = connection
        self._direct = direct
        self._endpoint = endpoint
        self._body = body
        self._number = number
        self._given = given
        self._slip: Slip | None = None
        self._begun: Begun | None = None
        self.began = began

    def begin(self, client: str) -> None:
        """Read the request and let its call in; whatever is wrong is the answer."""
        direct, endpoint = self._direct, self._endpoint
        assert direct.counters is not None
        direct.counters.began(endpoint.path)
        direct.patience.answers[self] = None
        direct.tell_request(self._number)
        CLIENT.set(client)
        if direct.journal is not None:
            self._slip = annotation.opened()
        try:
            args, kwargs = endpoint.read(self._body)
            self._begun = endpoint.caller.begin(args, kwargs, client, self._done)
        except Exception as error:
            self._done(None, error)

    @property
    def waits(self) -> bool:
        """Nothing was computed for it yet."""
        return isinstance(self._begun, Waiting) and not self._begun.batch

    def expire(self) -> None:
        """The answer took too long."""
        if self._begun is not None:
            self._begun.cancel()
        self._reply(timed_out(self._direct.timeout))

    def lose(self) -> None:
        """The client has gone: what nobody waits for is not begun, what runs may end."""
        if isinstance(self._begun, Waiting):
            self._begun.cancel()
        self._end(GONE)

    def _done(self, value: Any, error: BaseException | None) -> None:
        connection = self._connection
        if connection is None:
            return
        if error is None:
            try:
                if isinstance(value, Response) or is_no_value(value):
                    self._respond(value)
                    return
                if self._endpoint.replied is not None:
                    self._reply(self._endpoint.replied(value))
                    return
                body, kind = self._endpoint.write(value)
            except Exception as raised:
                error = raised
            else:
                self._end(200, body)
                connection.answer(body, kind, self._number)
                return
        self._reply(self._refused(error))

    def _refused(self, error: BaseException) -> Reply:
        try:
            return self._endpoint.refused(error)
        except Exception as other:
            # An error that cannot be told, as one whose status is none.
            return refusal(other, self._endpoint.path)

    def _reply(self, reply: Reply) -> None:
        connection = self._connection
        if connection is not None:
            self._end(reply.status, reply.body)
            connection.reply(reply, self._number)

    def _respond(self, value: Any) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        connection.respond(partial(self._sent, value), self._endpoint.path)

    async def _sent(self, value: Any, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application of this one answer."""
        try:
            ready = isinstance(value, Response) and self._endpoint.replied is None
            answer = value if ready else await self._endpoint.respond(value)
        except Exception as error:
            answer = self._refused(error).response()
        try:
            answer.headers.update({name.decode(): text.decode() for name, text in self._direct.named(self._number)})
            await answer(scope, receive, turning(send))
        finally:
            self._end(answer.status_code)

    def _end(self, status: int, answer: bytes = b"") -> None:
        direct, endpoint = self._direct, self._endpoint
        self._connection = None
        direct.patience.answers.pop(self, None)
        seconds = time.perf_counter() - self.began
        assert direct.counters is not None
        direct.counters.ended(endpoint.path, status, seconds)
        if direct.journal is not None and status not in _UNLOGGED:
            latency, batch = int(seconds * 1e9), getattr(self._begun, "batch", 1)
            began = time.time_ns() - latency
            known = self._given or self._number
            bodies = endpoint.logged(self._body, answer)
            direct.journal.note(known, began, latency, endpoint.name, status, batch, *bodies, self._slip)
