"""One request to `infer` on the connection's short way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from boxplat.serving.calls.threads import contained
from boxplat.serving.endpoint import Endpoint
from boxplat.serving.http.plain import Head
from boxplat.serving.http.refusal import Reply
from boxplat.serving.inference import arguments, compression, wire
from boxplat.serving.inference.failures import refused
from boxplat.serving.inference.model import Model
from boxplat.serving.inference.ways import JSON, Called, Question

BINARY = "application/octet-stream"
LENGTH = "inference-header-content-length"
_NOTHING = wire.Asked(())


class Infer:
    """From its body to its answer; stands for its endpoint.

    Args:
        endpoint: of the API.
        name: that the client gave the model.
        head: of the request.
    """

    __slots__ = ("_answer", "_asked", "_head", "_is_raw", "_model", "_way", "_wire", "caller", "name", "path")

    def __init__(self, endpoint: Endpoint, model: Model, way: Called, name: str, version: str, head: Head) -> None:
        self.name = endpoint.name
        self.path = endpoint.path
        self.caller = endpoint.caller
        self._model = model
        self._way = way
        self._wire = name, version
        self._head = head
        self._is_raw = False
        # For the log: not compressed.
        self._answer = b""
        self._asked = _NOTHING

    def read(self, body: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """The arguments of the call.

        Raises:
            InferenceError: the request is not what the API takes.
        """
        self._asked = wire.read(body, self._head.inference)
        return self._way.arguments(arguments.document(self._asked.tensors, self._model.taken, self._wire[0]))

    def replied(self, value: Any) -> Reply:
        """The answer.

        Raises:
            InferenceError: it has not the outputs that are wanted.
        """
        tensors = self._way.tensors(value, self._question())
        self._answer, head = wire.write(*self._wire, self._asked, tensors)
        self._is_raw = head is not None
        return reply(self._answer, head, self._head.accepts)

    def logged(self, body: bytes, answer: bytes) -> tuple[bytes, bytes]:
        """A request's and an answer's body for the prediction log."""
        return wire.logged(body, self._head.inference is not None), wire.logged(self._answer or answer, self._is_raw)

    async def respond(self, value: Any) -> Response:
        """The answer, where the function made one itself: a response, a stream, a file."""
        tensors = await self._way.responded(value, self._question())
        body, head = wire.write(*self._wire, self._asked, tensors)
        return reply(body, head, "").response()

    def _question(self) -> Question:
        return Question(self._wire[0], self._asked.outputs, ())

    def refused(self, error: BaseException) -> Reply:
        """The answer to a request that ended in this error."""
        return refused(contained(error), self._wire[0]).reply()


def reply(body: bytes, head: int | None, accepted: str) -> Reply:
    """An answer, compressed where the client takes that.

    Args:
        head: length of the JSON at the beginning of the body; None: all of it.
        accepted: the request's Accept-Encoding.
    """
    more = [] if head is None else [(LENGTH.encode(), str(head).encode())]
    body, encoding = compression.packed(body, accepted)
    if encoding:
        more.append((b"content-encoding", encoding.encode()))
    return Reply(200, body, JSON if head is None else BINARY, more=tuple(more))
