"""One prediction asked for through the inference protocol: the same counting and limits as on the plain paths."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from boxplat.serving.calling import CLIENT
from boxplat.serving.inference.exchange import Headers
from boxplat.serving.inference.failures import InferenceError, refused
from boxplat.serving.inference.model import Model
from boxplat.serving.inference.repository import Repository
from boxplat.serving.inference.tensors import Tensor
from boxplat.serving.inference.wire import Asked


@dataclass(frozen=True)
class Call:
    """Who asks which model.

    Attributes:
        headers: of the request; HTTP/2's are gRPC's metadata.
        client: that its turn is counted for.
    """

    model: str
    version: str
    headers: Headers
    client: str


class Predictions:
    """Answers of a service's models.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`), after it has started.
    """

    def __init__(self, direct: Any) -> None:
        self.repository = Repository(direct)
        self._direct = direct

    async def one(self, call: Call, asked: Asked) -> list[Tensor]:
        """The tensors of an answer.

        Raises:
            InferenceError: whatever went wrong.
        """
        model = self.repository.model(call.model, call.version)
        with self._counted(model, call):
            return await model.infer(call.model, asked.tensors, asked.outputs, call.headers)

    async def stream(self, call: Call, asked: Asked) -> AsyncIterator[list[Tensor]]:
        """The tensors of each part of an answer.

        Raises:
            InferenceError: whatever went wrong.
        """
        model = self.repository.model(call.model, call.version)
        with self._counted(model, call):
            async for part in model.parts(call.model, asked.tensors, asked.outputs, call.headers):
                yield part

    @contextmanager
    def _counted(self, model: Model, call: Call) -> Iterator[None]:
        CLIENT.set(call.client)
        self._direct.tell_request(random.getrandbits(64))
        if model.counts_itself:
            with _told(call.model):
                yield
            return
        with self._direct.counters.request(model.path) as counted:
            try:
                with _told(call.model):
                    yield
                counted.status = 200
            except InferenceError as error:
                counted.status = error.status
                raise


@contextmanager
def _told(model: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        found = refused(error, model)
        raise found from (None if found is error else error)
