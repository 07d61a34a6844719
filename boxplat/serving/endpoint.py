"""One `@bentoml.api` of a service: from a request's body to an answer's, as BentoML's own application does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from starlette.responses import Response

from boxplat.serving.calls import calling
from boxplat.serving.calls.threads import Threads
from boxplat.serving.codecs import Read, Write, reader, writer
from boxplat.serving.http.refusal import Reply, refusal

# By type of value, for those that were seen.
_NO_VALUES: dict[type, bool] = {}


@dataclass(frozen=True)
class Endpoint:
    """An API that is answered without BentoML's application.

    Attributes:
        name: the API's; also the name of its model in inference protocols.
        path: of the route, as metrics name it.
        method: BentoML's description of the API.
        caller: the way to the user's function.
        read: makes the call's arguments of a body; raises what BentoML's models raise.
        write: makes an answer's body and content type of what the function gave.
        respond: BentoML's own way to an answer, for what is no value: a stream, a file.
        for_head: makes what answers one request, of its head; None: the endpoint itself does.
        replied: makes the whole answer, where it has headers of its own.
    """

    name: str
    path: str
    method: Any
    caller: calling.Caller
    read: Read
    write: Write
    respond: Callable[[Any], Awaitable[Response]]
    for_head: Callable[[Any], Endpoint] | None = None
    replied: Callable[[Any], Reply] | None = None

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        """What the user's function gives.

        Raises:
            BentoMLException: too many calls wait (429), or this one waited for too long (503); or what it raises.
        """
        return await calling.call(self.caller.begin, *args, **kwargs)

    def logged(self, body: bytes, answer: bytes) -> tuple[bytes, bytes]:
        """A request's and an answer's body for the prediction log."""
        return body, answer

    def refused(self, error: BaseException) -> Reply:
        """The answer to a request that cannot be read, and where the function fails."""
        return refusal(error, self.path)

    async def reply(self, body: bytes) -> Reply | Response:
        """The answer; also to a request that cannot be read, and where the function fails."""
        try:
            args, kwargs = self.read(body)
            value = await self.call(*args, **kwargs)
            if isinstance(value, Response):
                return value
            if is_no_value(value):
                return await self.respond(value)
            content, kind = self.write(value)
        except Exception as error:
            return self.refused(error)
        return Reply(200, content, kind)


def plain(factory: Any, threads: Threads, waiting: int) -> dict[str, Endpoint]:
    """By path, the APIs of a running service that need nothing of BentoML's application.

    Others keep BentoML's answers: those that stream, are tasks, take a context or files, and those of a service with
    middleware of its own, a limit of concurrent requests, or cross-origin rules.
    """
    from _bentoml_impl.serde import JSONSerde  # type: ignore[import-untyped]

    found: dict[str, Endpoint] = {}
    if not is_apart(factory) or factory.max_concurrency:
        return found
    for name, method in factory.service.apis.items():
        path = path_of(factory, method)
        if is_plain(method) and path not in found:
            function = getattr(factory._service_instance, name).local
            caller = calling.caller(factory, method, function, threads, waiting)
            output = method.output_spec
            respond = partial(output.to_http_response, serde=JSONSerde())
            read, write = reader(method.input_spec), writer(output)
            found[path] = Endpoint(name, path, method, caller, read, write, respond)
    return found


def path_of(factory: Any, method: Any) -> str:
    """Of an API's route."""
    from bentoml._internal.utils.uri import join_paths

    path: str = join_paths(factory.service.path_prefix, method.route)
    return path


async def is_ready(factory: Any) -> bool:
    """As a service's `/readyz` tells it."""
    from starlette.exceptions import HTTPException

    try:
        return bool((await factory.readyz(None)).status_code == 200)
    except HTTPException:
        return False


def is_apart(factory: Any) -> bool:
    """Whether a service's APIs can be answered without the middleware of BentoML's application: nobody added to it."""
    service = factory.service
    return not (service.middlewares or factory.enable_access_control or service.has_custom_command() or is_traced())


def is_traced() -> bool:
    """Whether anybody sees the spans of requests: those that are answered here have none."""
    from bentoml._internal.configuration.containers import BentoMLContainer

    tracing = BentoMLContainer.tracing
    told = BentoMLContainer.http.response.trace_id.get()
    return bool(told or (tracing.exporter_type.get() and tracing.sample_rate.get()))


def is_plain(method: Any) -> bool:
    inputs, outputs = method.input_spec, method.output_spec
    files = inputs.multipart_fields or outputs.multipart_fields or _is_file(inputs) or _is_file(outputs)
    return not (method.is_stream or method.is_task or method.ctx_param or files)


def _is_file(spec: Any) -> bool:
    return bool(spec.model_json_schema().get("type") == "file")


def is_no_value(value: Any) -> bool:
    """Whether a function gave a stream or a file."""
    kind = type(value)
    if kind not in _NO_VALUES:
        from _bentoml_sdk.io_models import is_file_type  # type: ignore[import-untyped]

        _NO_VALUES[kind] = issubclass(kind, (GeneratorType, AsyncGeneratorType)) or is_file_type(kind)
    return _NO_VALUES[kind]
