"""Leaving out of BentoML's own application what it does for each request and nobody sees."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

from starlette.middleware import Middleware

from boxplat.serving.calls.threads import Threads
from boxplat.serving.endpoint import is_traced

_LAYERS = ("OpenTelemetryMiddleware", "AccessLogMiddleware")


class Numbered:
    """Gives each request the number that tracing would give it; an ASGI middleware.

    Attributes:
        app: the next one, named as in all of Starlette's, for who looks for one of the layers below.
    """

    def __init__(self, app: Any) -> None:
        from bentoml._internal.context import trace_context

        self.app = app
        self._trace = trace_context

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self._trace.request_id = random.getrandbits(64)
        await self.app(scope, receive, send)


def trim(factory: Any, app: Any, threads: Threads) -> None:
    """Make an application that has not started answer in about half the time; the answers stay as they are."""
    if not is_traced():
        _drop_layers(app)
    _share(factory, threads)
    _remember_types([method.output_spec for method in factory.service.apis.values()])


def _drop_layers(app: Any) -> None:
    """Spans that go nowhere, and the access log: requests that are answered directly have neither."""
    at = [index for index, layer in enumerate(app.user_middleware) if layer.cls.__name__ in _LAYERS]
    if at:
        app.user_middleware = [layer for layer in app.user_middleware if layer.cls.__name__ not in _LAYERS]
        app.user_middleware.insert(at[0], Middleware(Numbered))


def _share(factory: Any, threads: Threads) -> None:
    """With threads of its own BentoML's application would run more functions at once than the service allows."""

    async def to_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
        return await threads.call(partial(function, *args, **kwargs))

    factory._to_thread = to_thread


def _remember_types(specs: Sequence[Any]) -> None:
    """BentoML makes the JSON schema of an output anew to name the type of each answer."""
    kinds = [spec.mime_type() for spec in specs]
    for spec, kind in zip(specs, kinds, strict=True):
        if not spec.__subclasses__():
            spec.mime_type = staticmethod(partial(str, kind))
