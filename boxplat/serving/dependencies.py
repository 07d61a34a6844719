"""Services that the served one depends on, in the same process: called without HTTP, with the answers that HTTP gives.

BentoML runs each in a process of its own. What a caller sees of one is a `RemoteProxy`; here it is one too, but its
calls go straight to the other service's functions: checked and copied by BentoML's models as on the way through pickle
and back, in batches, in the service's own threads, within its time-out, with the same errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from boxplat.serving.calls import calling
from boxplat.serving.calls.streams import in_threads
from boxplat.serving.calls.threads import Threads
from boxplat.serving.codecs.models import Arguments, arguments
from boxplat.serving.counting import Counted, Counters
from boxplat.serving.endpoint import is_plain, is_ready, path_of
from boxplat.serving.http.refusal import Reply, refusal, timed_out

Counting = contextlib.AbstractContextManager[Counted]
Way = Callable[..., Awaitable[Any]]


def in_process(service: Any) -> bool:
    """Whether a dependency may share the process of the service that uses it."""
    resources = service.config.get("resources") or {}
    traffic = service.config.get("traffic") or {}
    alone = service.config.get("workers") in (None, 1) and not resources.get("gpu") and not service.has_custom_command()
    return alone and not traffic.get("max_concurrency") and all(map(is_callable, service.apis.values()))


def is_callable(method: Any) -> bool:
    """Whether an API can be called without HTTP: it takes and gives values, or streams them."""
    return is_plain(method) or (method.is_stream and not method.ctx_param and not method.input_spec.multipart_fields)


class Dependencies:
    """The dependencies of a service.

    Args:
        waiting: requests that may wait for one API of theirs.
    """

    def __init__(self, service: Any, waiting: int) -> None:
        everything = service.all_services(exclude_urls=True)
        del everything[service.name]
        self._services = {name: one for name, one in everything.items() if in_process(one)}
        self._all = [service, *everything.values()]
        self._waiting = waiting
        self._started = contextlib.AsyncExitStack()
        self._counters: dict[str, Counters] = {}

    async def start(self) -> None:
        """Make their instances, those first that others of them use, and put them where their users look."""
        for name in reversed(self._services):
            await self._started.enter_async_context(self._running(name))

    def count(self, app: Any) -> None:
        """Count their calls among the metrics of the main service's application, which has started."""
        self._counters.update({name: Counters.of(app, name) for name in self._services})

    async def stop(self) -> None:
        """End them, with their shutdown hooks."""
        for counters in self._counters.values():
            counters.stop()
        await self._started.aclose()

    @contextlib.asynccontextmanager
    async def _running(self, name: str) -> AsyncGenerator[None, None]:
        from _bentoml_impl.server.app import ServiceAppFactory  # type: ignore[import-untyped]

        service = self._services[name]
        # Its counters would have the names that the main service's have already.
        factory = ServiceAppFactory(service, is_main=False, enable_metrics=False)
        app = factory()
        threads = Threads(service.config.get("threads", 1))
        async with app.router.lifespan_context(app):
            proxy = _proxy(factory, _ways(factory, threads, self._waiting, self._counted))
            places = [dependency for user in self._all for dependency in user.dependencies.values()]
            for place in places:
                if place.on is service and not place.url:
                    place._resolved = proxy
            await proxy.__aenter__()
            try:
                yield
            finally:
                await threads.stop()

    def _counted(self, name: str, path: str) -> Counting:
        counters = self._counters.get(name)
        # While the main service starts there are none.
        return counters.request(path) if counters is not None else contextlib.nullcontext(Counted())


def started_with_service(factory: Any, waiting: int) -> None:
    """Have the factory of a service's application start its dependencies before it, and stop them after it."""
    dependencies = Dependencies(factory.service, waiting)
    create, destroy = factory.create_instance, factory.destroy_instance

    async def created(app: Any) -> None:
        await dependencies.start()
        await create(app)
        dependencies.count(app)

    async def destroyed(app: Any) -> None:
        await destroy(app)
        await dependencies.stop()

    factory.create_instance, factory.destroy_instance = created, destroyed


def _proxy(factory: Any, ways: dict[str, Way]) -> Any:
    """BentoML's proxy of a running service, whose calls take these ways."""
    from _bentoml_impl.client.proxy2 import AsyncClient, RemoteProxy, SyncClient  # type: ignore[import-untyped]
    from _bentoml_impl.serde import Payload  # type: ignore[import-untyped]

    class Client(AsyncClient):  # type: ignore[misc]
        async def is_ready(self, timeout: int | None = None) -> bool:
            return await is_ready(factory)

        async def _call(self, endpoint: Any, args: Any, kwargs: dict[str, Any], *, headers: Any = None) -> Any:
            found = await ways[endpoint.name](*args, **kwargs)
            return self._pieces(endpoint, found) if endpoint.stream_output else found

        async def _pieces(self, endpoint: Any, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[Any, None]:
            async for piece in pieces:
                yield self._deserialize_output(Payload((piece,), {}), endpoint)

    service, url = factory.service, "http://in-process"
    proxy = RemoteProxy(url, service=service)
    proxy._async = Client(url, service=service, media_type="application/vnd.bentoml+pickle", server_ready_timeout=0)
    proxy._sync = SyncClient(proxy._async)
    return proxy


def _ways(factory: Any, threads: Threads, waiting: int, counted: Callable[[str, str], Counting]) -> dict[str, Way]:
    found: dict[str, Way] = {}
    for name, method in factory.service.apis.items():
        function = getattr(factory._service_instance, name).local
        path = path_of(factory, method)
        counting = partial(counted, factory.service.name, path)
        if method.is_stream:
            found[name] = partial(_stream, method, function, threads, path, counting)
        else:
            begin = calling.caller(factory, method, function, threads, waiting).begin
            found[name] = partial(_call, method, begin, path, counting, factory.timeout)
    return found


async def _call(
    method: Any,
    begin: Callable[..., calling.Begun],
    path: str,
    counting: Callable[[], Counting],
    timeout: float,
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """What an API answers.

    Raises:
        ValidationError: the arguments are not what it takes.
        BentoMLException: whatever went wrong on its side, with its status and the text of its answer.
    """
    given = _received(method.input_spec, args, kwargs)
    with counting() as counted:
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                value = await calling.call(begin, *given[0], **given[1])
            sent = _sent(method.output_spec, value)
            counted.status = 200
            return sent
        except Exception as error:
            reply = timed_out(timeout) if limit.expired() else refusal(error, path)
            counted.status = reply.status
            raise _failure(reply) from error


async def _stream(
    method: Any,
    function: Callable[..., Any],
    threads: Threads,
    path: str,
    counting: Callable[[], Counting],
    /,
    *args: Any,
    **kwargs: Any,
) -> AsyncGenerator[bytes, None]:
    """What an API yields, piece by piece; raises as `_call`."""
    from _bentoml_impl.serde import PickleSerde

    given = _received(method.input_spec, args, kwargs)
    stream = function(*given[0], **given[1])
    if inspect.isgenerator(stream):
        stream = in_threads(stream, threads)
    try:
        response = await method.output_spec.to_http_response(stream, PickleSerde())
    except Exception as error:
        raise _failure(refusal(error, path)) from error
    return _pieces(response.body_iterator, counting)


async def _pieces(pieces: Any, counting: Callable[[], Counting]) -> AsyncGenerator[bytes, None]:
    with counting() as counted:
        async for piece in pieces:
            yield piece.encode() if isinstance(piece, str) else bytes(piece)
        counted.status = 200


def _received(spec: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Arguments:
    """The arguments as they arrive: of the types that the API names, and copies, not the caller's own objects."""
    model = spec.from_inputs(*args, **kwargs)
    dumped = model.model_dump()
    return arguments(spec)(model if isinstance(dumped, str | bytes) else _through_pickle(spec, dumped))


def _sent(spec: Any, value: Any) -> Any:
    """What a function gave as it arrives at its caller."""
    from _bentoml_sdk.io_models import IORootModel  # type: ignore[import-untyped]

    if issubclass(spec, IORootModel) and not isinstance(value, IORootModel):
        value = spec(value)
    dumped = value.model_dump()
    if isinstance(dumped, str | bytes):
        return dumped
    made = _through_pickle(spec, dumped)
    return made.root if isinstance(made, IORootModel) else made


def _through_pickle(spec: Any, dumped: Any) -> Any:
    from _bentoml_impl.serde import PickleSerde

    serde = PickleSerde()
    payload = serde.serialize_value(dumped)
    made = serde.deserialize_value(payload)
    return made if isinstance(made, spec) else spec.model_validate(made)


def _failure(reply: Reply) -> Exception:
    """What BentoML's client raises for an answer that is an error."""
    from http import HTTPStatus

    from bentoml.exceptions import BentoMLException

    status = HTTPStatus(reply.status)
    kind = BentoMLException.error_mapping.get(status, BentoMLException)
    return kind(reply.body.decode(), error_code=status)
