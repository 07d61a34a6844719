"""Ways from a request's document to the tensors of its answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

from starlette.responses import Response

from boxplat.serving.calls import calling
from boxplat.serving.codecs import reader, writer
from boxplat.serving.codecs.models import Arguments
from boxplat.serving.endpoint import Endpoint, is_no_value
from boxplat.serving.inference import answers, arguments, multipart
from boxplat.serving.inference.exchange import App, Exchange, Headers, asked
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.schema import Kind, Signature
from boxplat.serving.inference.tensors import BYTES, Tensor

JSON = "application/json"
_ENDED = object()


@dataclass(frozen=True)
class Question:
    """What a client wants, besides its tensors.

    Attributes:
        model: the name that it gave the model, for messages.
        outputs: names; none: all.
        headers: of its request, for services that look at them.
    """

    model: str
    outputs: Collection[str]
    headers: Headers


class Way(Protocol):
    """One of them. Raises `InferenceError`, `TimeoutError`, and what the service raises."""

    async def whole(self, found: Any, question: Question) -> tuple[list[Tensor], int]:
        """The answer to a document, and how many rows were computed together with it."""
        ...

    def parts(self, found: Any, question: Question) -> AsyncGenerator[list[Tensor], None]:
        """Each part of the answer of an API that streams."""
        ...


@dataclass(frozen=True)
class Api:
    """What every way knows of its API.

    Attributes:
        method: BentoML's description.
        path: of its route.
        timeout: seconds that BentoML gives a request; of a stream, its beginning.
    """

    method: Any
    path: str
    taken: Signature
    given: Signature
    timeout: float

    def of_body(self, body: bytes, kind: str, question: Question) -> list[Tensor]:
        """The tensors of a plain answer's body."""
        value = answers.parsed(body, kind)
        if not self.given.whole and isinstance(value, dict):
            value = SimpleNamespace(**value)
        return answers.tensors(value, self.given, question.outputs, question.model, lambda _: body)

    @property
    def chunk_kind(self) -> str:
        """What is in a chunk of a plain stream: texts and bytes are as they are, all else is JSON."""
        field = self.given.fields[0] if self.given.whole else None
        is_text = field is not None and field.kind in (Kind.SCALAR, Kind.BINARY) and field.datatype == BYTES
        return "" if is_text else JSON


class Called:
    """An API that is called in the process, through its batcher where it has one."""

    def __init__(self, api: Api, endpoint: Endpoint) -> None:
        self._api = api
        self._endpoint = endpoint

    async def whole(self, found: Any, question: Question) -> tuple[list[Tensor], int]:
        """As `Way.whole`."""
        async with asyncio.timeout(self._api.timeout):
            args, kwargs = self.arguments(found)
            value, batch = await calling.called(self._endpoint.caller.begin, *args, **kwargs)
            if isinstance(value, Response) or is_no_value(value):
                return await self.responded(value, question), batch
            return self.tensors(value, question), batch

    def arguments(self, found: Any) -> Arguments:
        """The arguments of the call that a document stands for."""
        return arguments.made(found, self._api.taken, self._api.method.input_spec, self._endpoint.read)

    def tensors(self, value: Any, question: Question) -> list[Tensor]:
        """The tensors of what the call gave."""
        made = answers.checked(value, self._api.method.output_spec)
        write = self._endpoint.write
        return answers.tensors(made, self._api.given, question.outputs, question.model, lambda one: write(one)[0])

    async def responded(self, value: Any, question: Question) -> list[Tensor]:
        """The tensors of an answer that the function made itself: a response, a stream, a file."""
        response = value if isinstance(value, Response) else await self._endpoint.respond(value)
        async with asked(response, self._api.path, [], b"", "") as exchange:
            return await _whole(self._api, exchange, question)

    def parts(self, found: Any, question: Question) -> AsyncGenerator[list[Tensor], None]:
        """An API that streams is not called like this."""
        raise AssertionError(self._api.path)


class Streamed:
    """An API that streams, without its plain way: an error within the stream is told, and arrays stay arrays.

    Args:
        call: makes the stream of a call's arguments.
    """

    def __init__(self, api: Api, call: Callable[..., Awaitable[AsyncGenerator[Any, None]]]) -> None:
        self._api = api
        self._call = call
        self._read = reader(api.method.input_spec)
        self._write = writer(api.method.output_spec)

    async def whole(self, found: Any, question: Question) -> tuple[list[Tensor], int]:
        """As `Way.whole`."""
        async with aclosing(self.parts(found, question)) as parts:
            return answers.joined([part async for part in parts], self._api.given), 1

    async def parts(self, found: Any, question: Question) -> AsyncGenerator[list[Tensor], None]:
        """As `Way.parts`."""
        api = self._api
        args, kwargs = arguments.made(found, api.taken, api.method.input_spec, self._read)
        stream = await self._call(*args, **kwargs)
        async with aclosing(stream):
            async with asyncio.timeout(api.timeout):
                value = await anext(stream, _ENDED)
            while value is not _ENDED:
                yield self._part(value, question)
                value = await anext(stream, _ENDED)

    def _part(self, value: Any, question: Question) -> list[Tensor]:
        api = self._api
        if api.chunk_kind != JSON and isinstance(value, str | bytes):
            return api.of_body(value.encode() if isinstance(value, str) else value, "", question)
        made = answers.checked(value, api.method.output_spec)
        named = question.outputs, question.model
        return answers.tensors(made, api.given, *named, lambda one: self._write(one)[0])


class Through:
    """An API that only the service's application answers: it is asked in the process, as a client would."""

    def __init__(self, api: Api, app: App) -> None:
        self._api = api
        self._app = app

    async def whole(self, found: Any, question: Question) -> tuple[list[Tensor], int]:
        """As `Way.whole`."""
        async with asyncio.timeout(self._api.timeout):
            body, kind = self._body(found)
            async with asked(self._app, self._api.path, question.headers, body, kind) as exchange:
                return await _whole(self._api, exchange, question), 1

    async def parts(self, found: Any, question: Question) -> AsyncGenerator[list[Tensor], None]:
        """As `Way.parts`."""
        body, kind = self._body(found)
        async with asked(self._app, self._api.path, question.headers, body, kind) as exchange:
            await _must_succeed(exchange)
            async for chunk in exchange.chunks():
                yield self._api.of_body(chunk, self._api.chunk_kind, question)

    def _body(self, found: Any) -> tuple[bytes, str]:
        taken = self._api.taken
        files = [field.name for field in taken.fields if field.kind is Kind.FILE]
        if taken.whole and isinstance(found, bytes):
            return found, "application/octet-stream"
        if files:
            return multipart.form(found, files)
        return arguments.as_json(found), JSON


async def _whole(api: Api, exchange: Exchange, question: Question) -> list[Tensor]:
    await _must_succeed(exchange)
    if not api.method.is_stream:
        return api.of_body(await exchange.body(), exchange.kind, question)
    parts = [api.of_body(chunk, api.chunk_kind, question) async for chunk in exchange.chunks()]
    return answers.joined(parts, api.given)


async def _must_succeed(exchange: Exchange) -> None:
    if exchange.status < 400:
        return
    body = await exchange.body()
    try:
        found = answers.parsed(body, exchange.kind)
    except ValueError:
        found = None
    found = found[0] if isinstance(found, list) and found else found
    told = found.get("error") if isinstance(found, dict) else None
    after = exchange.headers.get(b"retry-after", b"")
    seconds = int(after) if after.isdigit() else None
    raise InferenceError(str(told or body.decode("utf-8", "replace")), exchange.status, seconds)
