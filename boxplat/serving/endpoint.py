"""One `@bentoml.api` of a service: from a request's body to an answer's, as BentoML's own application does it."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.responses import Response

from boxplat.serving.batching import Batcher
from boxplat.serving.refusal import Reply, refusal

Call = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Endpoint:
    """An API that is answered without BentoML's application.

    Attributes:
        path: of the route, as metrics name it.
        read: makes the call's arguments of a body; raises what BentoML's models raise.
        call: the user's function.
        write: makes an answer's body and content type of what the function gave.
        respond: BentoML's own way to an answer, for what is no value: a stream, a file.
    """

    path: str
    read: Callable[[bytes], tuple[Sequence[Any], dict[str, Any]]]
    call: Call
    write: Callable[[Any], tuple[bytes, str]]
    respond: Callable[[Any], Awaitable[Response]]

    async def reply(self, body: bytes) -> Reply | Response:
        """The answer; also to a request that cannot be read, and where the function fails."""
        try:
            args, kwargs = self.read(body)
            value = await self.call(*args, **kwargs)
            if isinstance(value, Response):
                return value
            if _is_no_value(value):
                return await self.respond(value)
            content, kind = self.write(value)
        except Exception as error:
            return refusal(error, self.path)
        return Reply(200, content, kind)


def plain(factory: Any) -> dict[str, Endpoint]:
    """By path, the APIs of a running service that need nothing of BentoML's application.

    Others keep BentoML's answers: those that stream, are tasks, take a context or files, and those of a service with
    middleware of its own, a limit of concurrent requests, or cross-origin rules.
    """
    from _bentoml_impl.serde import JSONSerde  # type: ignore[import-untyped]
    from bentoml._internal.utils.uri import join_paths

    service = factory.service
    if service.middlewares or factory.max_concurrency or factory.enable_access_control or service.has_custom_command():
        return {}
    found = {}
    for name, method in service.apis.items():
        if _is_plain(method):
            path = join_paths(service.path_prefix, method.route)
            function = getattr(factory._service_instance, name).local
            call = _call(factory, method, function)
            output = method.output_spec
            respond = partial(output.to_http_response, serde=JSONSerde())
            found[path] = Endpoint(path, reader(method.input_spec), call, writer(output), respond)
    return found


def _is_plain(method: Any) -> bool:
    inputs, outputs = method.input_spec, method.output_spec
    files = inputs.multipart_fields or outputs.multipart_fields or _is_file(inputs) or _is_file(outputs)
    return not (method.is_stream or method.is_task or method.ctx_param or files)


def _is_file(spec: Any) -> bool:
    return bool(spec.model_json_schema().get("type") == "file")


def _is_no_value(value: Any) -> bool:
    from _bentoml_sdk.io_models import is_file_type  # type: ignore[import-untyped]

    return inspect.isgenerator(value) or inspect.isasyncgen(value) or is_file_type(type(value))


def _call(factory: Any, method: Any, function: Any) -> Call:
    from bentoml._internal.utils import get_original_func

    is_async = inspect.iscoroutinefunction(get_original_func(function))

    async def in_thread(*args: Any, **kwargs: Any) -> Any:
        return await factory._to_thread(function, *args, **kwargs)

    once: Call = function if is_async else in_thread
    return Batcher(once, method).call if method.batchable else once


def reader(spec: Any) -> Callable[[bytes], tuple[Sequence[Any], dict[str, Any]]]:
    """How a body becomes a call's arguments: `spec.model_validate_json`, with the spec's schema made once."""
    from _bentoml_sdk.io_models import ARGS, KWARGS, IORootModel

    is_root = issubclass(spec, IORootModel)
    is_text = is_root and spec.model_json_schema().get("type") == "string"
    fields = tuple(spec.model_fields)
    whole = bool(getattr(spec, "__root_input__", False))

    def read(body: bytes) -> tuple[Sequence[Any], dict[str, Any]]:
        raw = body or b"{}"
        if not is_root:
            made = spec.model_validate_json(raw)
        else:
            made = spec.model_validate(raw if is_text else json.loads(raw))
        if whole:
            return (made.root if is_root else made,), {}
        kwargs = {name: getattr(made, name) for name in fields}
        args = (kwargs.pop(ARGS),) if ARGS in kwargs else ()
        if KWARGS in kwargs:
            kwargs.update(kwargs.pop(KWARGS))
        return args, kwargs

    return read


def writer(spec: Any) -> Callable[[Any], tuple[bytes, str]]:
    """How what a function gives becomes a body and its content type: `spec.to_http_response`, its type made once."""
    from _bentoml_sdk.io_models import IORootModel

    kind = spec.mime_type()
    described = f"{kind}; charset=utf-8" if kind.startswith("text/") and "charset=" not in kind.lower() else kind

    def write_root(value: Any) -> tuple[bytes, str]:
        made = value if isinstance(value, IORootModel) else spec(value)
        rendered = made.model_dump()
        if isinstance(rendered, str):
            return rendered.encode(), described
        if isinstance(rendered, bytes):
            return rendered, described
        return made.model_dump_json().encode(), described

    def write_model(value: Any) -> tuple[bytes, str]:
        return value.model_dump_json(exclude=set()).encode(), described

    return write_root if issubclass(spec, IORootModel) else write_model
