"""One API of a service as a model of the inference protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from types import SimpleNamespace
from typing import Any

from starlette.responses import Response

from boxplat.serving import calling
from boxplat.serving.endpoint import is_no_value
from boxplat.serving.inference import answers, arguments, multipart
from boxplat.serving.inference.exchange import App, Exchange, Headers, asked
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.schema import Kind, given, taken
from boxplat.serving.inference.tensors import BYTES, Tensor

PLATFORM = "bentoml"
JSON = "application/json"


class Model:
    """An API.

    Args:
        method: BentoML's description of it.
        path: of its route.
        endpoint: boxplat's direct way to it; None where only the application answers it.
        app: the whole service as an ASGI application.
        timeout: seconds that BentoML gives a request.
    """

    def __init__(self, method: Any, path: str, endpoint: Any, app: App, timeout: float | None) -> None:
        self.taken = taken(method)
        self.given = given(method)
        self.is_stream: bool = method.is_stream
        self._method = method
        self._path = path
        self._endpoint = endpoint
        self._app = app
        self._timeout = timeout

    @property
    def path(self) -> str:
        """Of the API's route, as its metrics are labelled."""
        return self._path

    @property
    def name(self) -> str:
        """Of the API."""
        found: str = self._method.name
        return found

    @property
    def goes_through_app(self) -> bool:
        """Whether its requests become plain ones, which the service's application answers."""
        return self._endpoint is None

    def metadata(self, name: str, version: str) -> dict[str, Any]:
        """As the protocol describes a model."""
        outputs = [field.described() for field in self.given.fields]
        if self.is_stream:
            outputs = [{**one, "shape": [-1]} for one in outputs]
        return {
            "name": name,
            "versions": [version],
            "platform": PLATFORM,
            "inputs": [field.described() for field in self.taken.fields],
            "outputs": outputs,
        }

    async def infer(
        self, name: str, tensors: Sequence[Tensor], wanted: Collection[str], headers: Headers
    ) -> tuple[list[Tensor], int]:
        """The tensors of the answer, and how many rows were computed together with it.

        Of an API that streams a tensor has one element for each part.

        Args:
            name: that the client gave the model, for messages.
            wanted: names of the outputs; none: all.
            headers: of the client's request, for services that look at them.

        Raises:
            InferenceError: the request is not what the API takes, or its answer is an error.
            TimeoutError: it took longer than the service's timeout.
        """
        found = arguments.document(tensors, self.taken, name)
        async with asyncio.timeout(self._timeout):
            if self._endpoint is None:
                return await self._through_app(name, found, wanted, headers), 1
            args, kwargs = self._arguments(found)
            value, batch = await calling.called(self._endpoint.caller.begin, *args, **kwargs)
            if isinstance(value, Response) or is_no_value(value):
                return await self._responded(value, wanted, name), batch
            return self._tensors(value, wanted, name), batch

    async def parts(
        self, name: str, tensors: Sequence[Tensor], wanted: Collection[str], headers: Headers
    ) -> AsyncGenerator[list[Tensor], None]:
        """The tensors of each part of what an API streams, as it comes.

        Raises:
            InferenceError: as from `infer`.
        """
        found = arguments.document(tensors, self.taken, name)
        body, kind = self._body(found)
        async with asked(self._app, self._path, headers, body, kind) as exchange:
            await _must_succeed(exchange)
            async for chunk in exchange.chunks():
                yield self._of_body(chunk, self._chunk_kind, wanted, name)

    def _arguments(self, found: Any) -> tuple[Sequence[Any], dict[str, Any]]:
        if arguments.is_plain(found, self.taken):
            args, kwargs = self._endpoint.read(arguments.as_json(found))
            return args, kwargs
        return arguments.split(self._method.input_spec, found)

    def _tensors(self, value: Any, wanted: Collection[str], name: str) -> list[Tensor]:
        made = answers.checked(value, self._method.output_spec)
        return answers.tensors(made, self.given, wanted, name, lambda _: bytes(self._endpoint.write(value)[0]))

    async def _responded(self, value: Any, wanted: Collection[str], name: str) -> list[Tensor]:
        """Of an answer that the function made itself: a response, a stream, a file."""
        response = value if callable(value) else await self._endpoint.respond(value)
        async with asked(response, self._path, [], b"", "") as exchange:
            return await self._collected(exchange, wanted, name)

    async def _through_app(self, name: str, found: Any, wanted: Collection[str], headers: Headers) -> list[Tensor]:
        body, kind = self._body(found)
        async with asked(self._app, self._path, headers, body, kind) as exchange:
            return await self._collected(exchange, wanted, name)

    async def _collected(self, exchange: Exchange, wanted: Collection[str], name: str) -> list[Tensor]:
        await _must_succeed(exchange)
        if not self.is_stream:
            return self._of_body(await exchange.body(), exchange.kind, wanted, name)
        kind = self._chunk_kind
        parts = [self._of_body(chunk, kind, wanted, name) async for chunk in exchange.chunks()]
        return answers.joined(parts, self.given)

    @property
    def _chunk_kind(self) -> str:
        """What is in a chunk of a stream: texts and bytes are as they are, all else is JSON."""
        field = self.given.fields[0] if self.given.whole else None
        is_text = field is not None and field.kind in (Kind.SCALAR, Kind.BINARY) and field.datatype == BYTES
        return "" if is_text else JSON

    def _of_body(self, body: bytes, kind: str, wanted: Collection[str], name: str) -> list[Tensor]:
        value = answers.parsed(body, kind)
        if not self.given.whole and isinstance(value, dict):
            value = SimpleNamespace(**value)
        return answers.tensors(value, self.given, wanted, name, lambda _: body)

    def _body(self, found: Any) -> tuple[bytes, str]:
        files = [field.name for field in self.taken.fields if field.kind is Kind.FILE]
        if self.taken.whole and isinstance(found, bytes):
            return found, "application/octet-stream"
        if files:
            return multipart.form(found, files)
        return arguments.as_json(found), JSON


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
