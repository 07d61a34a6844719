"""The inference protocol over HTTP: everything under `/v2`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from boxplat.serving.http.asgi import Message, Receive, Send, body_of, client_of
from boxplat.serving.inference import compression, generate, wire
from boxplat.serving.inference.config import configuration
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.infer import LENGTH, reply
from boxplat.serving.inference.predictions import Call, begun
from boxplat.serving.inference.repository import Repository
from boxplat.serving.inference.statistics import statistics
from boxplat.serving.inference.ways import JSON


@dataclass(frozen=True)
class Request:
    """One request, read and opened.

    Attributes:
        parts: of its path, after /v2.
    """

    method: str
    parts: tuple[str, ...]
    headers: Mapping[str, str]
    body: bytes
    call: Call


class Rest:
    """The ASGI application.

    Args:
        direct: the service's own (`boxplat.serving.direct.Direct`).
    """

    def __init__(self, direct: Any) -> None:
        self._direct = direct

    @cached_property
    def repository(self) -> Repository:
        """The models."""
        return Repository(self._direct)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request."""
        body = await body_of(receive)
        if body is None:
            return
        try:
            response = await self._answered(_request(scope, body, self._direct.settings.body_bytes))
        except InferenceError as error:
            response = error.reply().response()
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        parts = request.parts
        if parts[:1] == ("models",) and len(parts) > 1 and parts != ("models", "stats"):
            return await self._of_model(request)
        if parts == ("repository", "index"):
            _must_be(request, "POST")
            options = wire.parsed(request.body) if request.body.strip() else {}
            return _json(await self.repository.index(bool(options.get("ready"))))
        if parts[:2] == ("repository", "models") and len(parts) == 4 and parts[3] in ("load", "unload"):
            raise InferenceError("explicit model load / unload is not allowed: models are released by `box deploy`")
        _must_be(request, "GET")
        if parts == ("models", "stats"):
            return _json({"model_stats": statistics(self.repository)})
        if parts == ("health", "live"):
            return _json({"live": True})
        if parts == ("health", "ready"):
            ready = await self.repository.is_ready()
            return _json({"ready": ready}, 200 if ready else 503)
        if not parts:
            return _json(self.repository.metadata())
        raise InferenceError("Not Found", 404)

    async def _of_model(self, request: Request) -> Response:
        repository = self.repository
        name, version = request.call.model, request.call.version
        verb = request.parts[4:] if request.parts[2:3] == ("versions",) else request.parts[2:]
        if verb in (("infer",), ("generate",), ("generate_stream",)):
            _must_be(request, "POST")
            answers = {"infer": self._infer, "generate": self._generate, "generate_stream": self._stream}
            return await answers[verb[0]](request)
        model = repository.model(name, version)
        _must_be(request, "GET")
        if verb == ("ready",):
            ready = await repository.is_ready()
            return _json({"name": name, "ready": ready}, 200 if ready else 503)
        if verb == ("stats",):
            return _json({"model_stats": statistics(repository, name, version)})
        if verb == ("config",):
            return _json(configuration(name, model))
        if not verb:
            return _json(model.metadata(name, repository.version))
        raise InferenceError("Not Found", 404)

    async def _infer(self, request: Request) -> Response:
        with begun(self.repository, request.call) as one:
            asked = wire.read(request.body, _length(request.headers.get(LENGTH)))
            tensors = await one.tensors(asked)
            body, head = wire.write(request.call.model, self.repository.version, asked, tensors)
            one.answer, one.is_raw = body, head is not None
        response = reply(body, head, request.headers.get("accept-encoding", "")).response()
        response.headers.update({name.decode(): text.decode() for name, text in self._direct.named(one.number)})
        return response

    async def _generate(self, request: Request) -> Response:
        with begun(self.repository, request.call) as one:
            said = generate.Said.of(request.body, one.model, request.call.model, self.repository.version)
            one.answer = to_json(said.message(await one.tensors(said.asked)), inf_nan_mode="constants")
            return Response(one.answer, media_type=JSON)

    async def _stream(self, request: Request) -> Response:
        events = self._events(request)
        # An error before the first part is the answer's status.
        first = await anext(events, b"")

        async def all_events() -> AsyncIterator[bytes]:
            async with aclosing(events):
                yield first
                try:
                    async for event in events:
                        yield event
                except InferenceError as error:
                    yield generate.event({"error": error.message})

        return StreamingResponse(all_events(), 200, {"cache-control": "no-cache"}, "text/event-stream")

    async def _events(self, request: Request) -> AsyncGenerator[bytes, None]:
        with begun(self.repository, request.call) as one:
            said = generate.Said.of(request.body, one.model, request.call.model, self.repository.version)
            async with aclosing(one.parts(said.asked)) as parts:
                async for part in parts:
                    one.answer = generate.event(said.message(part))
                    yield one.answer


def _request(scope: Message, body: bytes, most: int | None) -> Request:
    headers = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in scope["headers"]}
    parts = tuple(part for part in scope["path"].split("/")[2:] if part)
    version = ""
    if parts[2:3] == ("versions",):
        if len(parts) < 4:
            raise InferenceError("Not Found", 404)
        version = parts[3]
    opened = compression.opened(body, headers.get("content-encoding", "").lower(), most)
    model = parts[1] if len(parts) > 1 else ""
    call = Call(model, version, scope["headers"], client_of(scope), opened, LENGTH in headers)
    return Request(scope["method"], parts, headers, opened, call)


def _must_be(request: Request, method: str) -> None:
    if request.method != method and (method, request.method) != ("GET", "HEAD"):
        raise InferenceError(f"Method Not Allowed: ask with {method}", 405)


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()):
        raise InferenceError("Inference-Header-Content-Length must be a whole number")
    return int(text)


def _json(value: Any, status: int = 200) -> Response:
    return Response(to_json(value, inf_nan_mode="constants"), status, media_type=JSON)
