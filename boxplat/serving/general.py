"""Answering requests of any content type to an API of any kind, without the layers of BentoML's application.

For an API's forms and files, its context (`bentoml.Context`), and its streams. Requests are read and answers are made
by BentoML's own models and by Starlette; tracing, the access log and what BentoML looks up anew for each request are
left out.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import random
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.middleware.errors import ServerErrorMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from boxplat.serving.calls import calling
from boxplat.serving.calls.streams import in_threads
from boxplat.serving.calls.threads import Threads
from boxplat.serving.codecs import writer
from boxplat.serving.codecs.requests import reading
from boxplat.serving.endpoint import is_apart, is_no_value, path_of
from boxplat.serving.http.refusal import refusal, timed_out

if TYPE_CHECKING:
    from boxplat.serving.direct import Direct
    from boxplat.serving.http.asgi import Message, Receive, Send


def general(direct: Direct, threads: Threads) -> dict[str, General]:
    """By path, the APIs of a running service as ASGI applications that take POST; all but tasks."""
    factory = direct.factory
    if not is_apart(factory) or not factory.is_main:
        return {}
    found: dict[str, General] = {}
    for name, method in factory.service.apis.items():
        path = path_of(factory, method)
        if not method.is_task and not (method.batchable and method.ctx_param) and path not in found:
            found[path] = General(direct, path, method, getattr(factory._service_instance, name).local, threads)
    return found


class General:
    """One API, for requests of every kind.

    Args:
        function: the user's, bound to the service object.

    Attributes:
        call: gives the value of a call with these arguments, or its stream.
    """

    def __init__(self, direct: Direct, path: str, method: Any, function: Callable[..., Any], threads: Threads) -> None:
        from _bentoml_impl.serde import JSONSerde  # type: ignore[import-untyped]

        self._direct = direct
        self._path = path
        self._context = direct.factory.service.context
        self._param = method.ctx_param
        self._route = _route(direct.app, path)
        self._read = reading(method.input_spec)
        self._write = writer(method.output_spec)
        self._respond = partial(method.output_spec.to_http_response, serde=JSONSerde())
        self.call = _call(direct, path, method, function, threads)
        self._slots = _slots(direct.app)
        self._guarded = ServerErrorMiddleware(ExceptionMiddleware(self._answer))

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        direct = self._direct
        direct.tell_request(random.getrandbits(64))
        assert direct.counters is not None
        scope.update({"app": direct.app, "router": direct.app.router, **self._route.matches(scope)[1]})
        with direct.counters.request(self._path) as counted:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    counted.status = message["status"]
                await send(message)

            if self._slots is not None and self._slots.locked():
                await JSONResponse({"error": "Too many requests"}, 429)(scope, receive, sending)
                return
            async with self._slots or contextlib.nullcontext():
                with self._context.in_request(Request(scope, receive, sending)):
                    await self._guarded(scope, receive, sending)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        async with contextlib.AsyncExitStack() as streams:
            try:
                async with asyncio.timeout(self._direct.timeout):
                    response = await self._response(request, streams)
            except TimeoutError:
                await timed_out(self._direct.timeout).response()(scope, receive, send)
                return
            for name, text in self._direct.named(request.scope["request_id"]):
                response.headers[name.decode()] = text.decode()
            self._run_afterwards(response, request)
            await response(scope, receive, send)

    async def _response(self, request: Request, streams: contextlib.AsyncExitStack) -> Response:
        try:
            args, kwargs = await self._read(request)
            if self._param is not None:
                kwargs = {self._param: self._context, **kwargs}
            value = await self.call(*args, **kwargs)
            if inspect.isasyncgen(value):
                streams.push_async_callback(value.aclose)
            response = await self._made(value)
            if self._param is not None:
                self._apply(response)
        except Exception as error:
            return refusal(error, self._path).response()
        return response

    async def _made(self, value: Any) -> Response:
        if isinstance(value, Response):
            return value
        if is_no_value(value):
            found: Response = await self._respond(value)
            return found
        body, kind = self._write(value)
        return Response(body, media_type=kind)

    def _apply(self, response: Response) -> None:
        """What the function told the context about the answer."""
        from bentoml._internal.utils.http import set_cookies

        told = self._context.response
        response.status_code = told.status_code
        response.headers.update(told.metadata)
        set_cookies(response, told.cookies)

    def _run_afterwards(self, response: Response, request: Request) -> None:
        told = self._context.response
        if response.background is not None:
            told.background.tasks.append(response.background)
        told.background.add_task(request.close)
        response.background = told.background
        # As BentoML does, so that the context and the response do not keep each other.
        del told.background


def _route(app: Any, path: str) -> Any:
    routes = (one for one in app.router.routes if getattr(one, "path", None) == path)
    return next(route for route in routes if "POST" in (route.methods or ()))


def _slots(app: Any) -> asyncio.Semaphore | None:
    """What BentoML's application counts concurrent requests with, where the service limits them."""
    from bentoml._internal.server.http.traffic import MaxConcurrencyMiddleware

    layer = app.middleware_stack
    while layer is not None and not isinstance(layer, MaxConcurrencyMiddleware):
        layer = getattr(layer, "app", None)
    return None if layer is None else layer._semaphore


def _call(direct: Direct, path: str, method: Any, function: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    """The way to the user's function: shared with the direct answers where there are any, or straight to its stream."""
    from bentoml._internal.utils import get_original_func

    plain = direct.endpoints.get(path)
    if plain is not None:
        return plain.call
    original = get_original_func(function)
    if method.batchable or not (inspect.isasyncgenfunction(original) or inspect.isgeneratorfunction(original)):
        caller = calling.caller(direct.factory, method, function, threads, direct.settings.waiting)
        return partial(calling.call, caller.begin)

    async def stream(*args: Any, **kwargs: Any) -> Any:
        made = function(*args, **kwargs)
        return made if inspect.isasyncgen(made) else in_threads(made, threads)

    return stream
