"""One prediction asked for through the inference protocol: counted, logged and limited as those on the plain paths."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from boxplat.serving.calls.calling import CLIENT
from boxplat.serving.counting import GONE
from boxplat.serving.http.asgi import given_id, header
from boxplat.serving.inference import wire
from boxplat.serving.inference.exchange import Headers
from boxplat.serving.inference.failures import InferenceError, refused
from boxplat.serving.inference.model import Model
from boxplat.serving.inference.repository import Repository
from boxplat.serving.inference.tensors import Tensor
from boxplat.serving.inference.ways import Question
from boxplat.serving.inference.wire import Asked
from boxplat.serving.log import annotation
from boxplat.serving.log.marks import SHADOW, WARMUP

# Nothing was predicted for these.
_UNLOGGED = (GONE, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True)
class Call:
    """Who asks which model.

    Attributes:
        headers: of the request; in gRPC its metadata.
        client: whose turn it is.
        body: of the request as it came.
        is_raw: it holds more than text.
    """

    model: str
    version: str
    headers: Headers
    client: str
    body: bytes
    is_raw: bool


@dataclass
class Prediction:
    """One that is being made.

    Attributes:
        answer: its bytes, for the log; set by whoever writes them.
        is_raw: they hold more than text.
        batch: rows that were computed together with it.
    """

    call: Call
    model: Model
    number: int
    answer: bytes = b""
    is_raw: bool = False
    batch: int = 1

    def logged(self) -> tuple[bytes, bytes]:
        """The bodies for the log."""
        return wire.logged(self.call.body, self.call.is_raw), wire.logged(self.answer, self.is_raw)

    async def tensors(self, asked: Asked) -> list[Tensor]:
        """The tensors of the answer.

        Raises:
            InferenceError, or what `refused` makes one of.
        """
        found, self.batch = await self.model.infer(asked.tensors, self._question(asked))
        return found

    async def parts(self, asked: Asked) -> AsyncGenerator[list[Tensor], None]:
        """The tensors of each part of the answer; of a model that does not stream, of the whole.

        Raises:
            InferenceError, or what `refused` makes one of.
        """
        if not self.model.is_stream:
            yield await self.tensors(asked)
            return
        async with aclosing(self.model.parts(asked.tensors, self._question(asked))) as parts:
            async for part in parts:
                yield part

    def _question(self, asked: Asked) -> Question:
        return Question(self.call.model, asked.outputs, self.call.headers)


@contextmanager
def begun(repository: Repository, call: Call) -> Iterator[Prediction]:
    """A prediction from its request to its answer.

    Raises:
        InferenceError: whatever went wrong within.
    """
    model = repository.model(call.model, call.version)
    one = Prediction(call, model, random.getrandbits(64))
    CLIENT.set(call.client)
    repository.direct.tell_request(one.number)
    # What BentoML's application answers is counted and logged on its way there.
    with _told(call.model) if model.counts_itself else _counted(repository.direct, one):
        yield one


@contextmanager
def _counted(direct: Any, one: Prediction) -> Iterator[None]:
    journal = None if header(one.call.headers, WARMUP) is not None else direct.journal
    slip = None
    # What the connection answered before may still be open in this context.
    annotation.close()
    if journal is not None:
        slip = annotation.opened()
        if header(one.call.headers, SHADOW) is not None:
            slip.append(annotation.SHADOWED)
    began, since = time.time_ns(), time.perf_counter_ns()
    with direct.counters.request(one.model.path) as counted:
        counted.status = GONE
        try:
            with _told(one.call.model):
                yield
            counted.status = HTTPStatus.OK
        except InferenceError as error:
            counted.status = error.status
            raise
        finally:
            if journal is not None and counted.status not in _UNLOGGED:
                number = given_id(one.call.headers) or one.number
                latency = time.perf_counter_ns() - since
                told = int(counted.status), one.batch, *one.logged(), slip
                journal.note(number, began, latency, one.model.name, *told)


@contextmanager
def _told(model: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        found = refused(error, model)
        raise found from (None if found is error else error)
