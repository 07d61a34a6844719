"""One request to `infer` on the connection's short way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.responses import Response

from boxplat.serving.inference import arguments, wire
from boxplat.serving.inference.failures import refused
from boxplat.serving.inference.model import Model
from boxplat.serving.inference.ways import JSON, Called, Question
from boxplat.serving.refusal import Reply

BINARY = "application/octet-stream"
LENGTH = "inference-header-content-length"


class Turn:
    """From its body to its answer.

    Args:
        name: that the client gave the model.
        header: length of the JSON at the beginning of the body; None: all of it.
    """

    def __init__(self, model: Model, way: Called, name: str, version: str, header: int | None) -> None:
        self._model = model
        self._way = way
        self._name = name
        self._version = version
        self._header = header
        self._asked = wire.Asked(())

    def read(self, body: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        """The arguments of the call.

        Raises:
            InferenceError: the request is not what the API takes.
        """
        self._asked = wire.read(body, self._header)
        return self._way.arguments(arguments.document(self._asked.tensors, self._model.taken, self._name))

    def replied(self, value: Any) -> Reply:
        """The answer.

        Raises:
            InferenceError: it has not the outputs that are wanted.
        """
        tensors = self._way.tensors(value, self._question())
        body, head = wire.write(self._name, self._version, self._asked, tensors)
        reply = Reply(200, body, JSON if head is None else BINARY)
        if head is not None:
            reply.more = ((LENGTH.encode(), str(head).encode()),)
        return reply

    async def respond(self, value: Any) -> Response:
        """The answer, where the function made one itself: a response, a stream, a file."""
        tensors = await self._way.responded(value, self._question())
        body, head = wire.write(self._name, self._version, self._asked, tensors)
        return Response(body, 200, {} if head is None else {LENGTH: str(head)}, JSON if head is None else BINARY)

    def _question(self) -> Question:
        return Question(self._name, self._asked.outputs, ())


def refusal(error: BaseException, name: str) -> Reply:
    """The answer to a request that ended in this error."""
    if not isinstance(error, Exception):
        raise error
    told = refused(error, name)
    reply = Reply.json({"error": told.message}, told.status)
    if told.retry_after is not None:
        reply.more = ((b"retry-after", str(told.retry_after).encode()),)
    return reply
