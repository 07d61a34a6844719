"""The inference protocol over gRPC, in the process and on the event loop of the service itself."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, NoReturn

import grpc
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError, Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from boxplat.serving.http.asgi import header
from boxplat.serving.inference import inference_pb2 as pb
from boxplat.serving.inference import messages
from boxplat.serving.inference.config import configuration
from boxplat.serving.inference.failures import InferenceError
from boxplat.serving.inference.predictions import Call, begun
from boxplat.serving.inference.repository import Repository
from boxplat.serving.inference.statistics import statistics

SERVICE = "inference.GRPCInferenceService"
_EMPTY_FINAL = "triton_enable_empty_final_response"
_CODES = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.TOO_MANY_REQUESTS: grpc.StatusCode.RESOURCE_EXHAUSTED,
    HTTPStatus.NOT_IMPLEMENTED: grpc.StatusCode.UNIMPLEMENTED,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}
Answer = Callable[[Any, Any], Awaitable[Any]]


async def start(direct: Any, port: int) -> Server:
    """Serve a running service's APIs.

    Args:
        direct: the service's application (`boxplat.serving.direct.Direct`), after it has started.
        port: at the host of its settings, shared with its other workers, whose parent has reserved it; 0: any free one.

    Raises:
        RuntimeError: the port is taken.
    """
    most = direct.settings.body_bytes
    limits = [("grpc.max_receive_message_length", -1 if most is None else most), ("grpc.max_send_message_length", -1)]
    # Otherwise two services could have one port, and each would get some of the other's calls.
    shares = int(direct.settings.workers > 1)
    server = grpc.aio.server(options=[*limits, ("grpc.so_reuseport", shares)])
    repository = Repository(direct)
    server.add_generic_rpc_handlers((Servicer(repository).handlers(),))
    probes = _Probes(repository)
    health_pb2_grpc.add_HealthServicer_to_server(probes, server)
    pool = pb.DESCRIPTOR.pool
    pool.AddSerializedFile(health_pb2.DESCRIPTOR.serialized_pb)
    names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=pool)
    host = direct.settings.host
    bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    for name in ("", SERVICE, *repository.models):
        await probes.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    return Server(server, probes, bound)


class Server:
    """A gRPC server that runs.

    Attributes:
        port: that it listens at.
    """

    def __init__(self, server: Any, probes: _Probes, port: int) -> None:
        self._server = server
        self._probes = probes
        self.port = port

    async def stop(self, grace: float) -> None:
        """Tell probes, take no new requests, and give those under way `grace` seconds."""
        await self._probes.enter_graceful_shutdown()
        await self._server.stop(grace)


class _Probes(health.aio.HealthServicer):  # type: ignore[misc]
    """gRPC's health service: serving while the service says that it is ready."""

    def __init__(self, repository: Repository) -> None:
        super().__init__()
        self._repository = repository

    async def Check(self, request: Any, context: Any) -> Any:
        """As in grpc.health.v1."""
        found = await super().Check(request, context)
        serving = health_pb2.HealthCheckResponse.SERVING
        if found.status == serving and not await self._repository.is_ready():
            return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.NOT_SERVING)
        return found


class Servicer:
    """`inference.GRPCInferenceService`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    def handlers(self) -> Any:
        """Its methods for gRPC's server. They take bytes: gRPC would not call broken ones the client's fault."""
        methods = {
            name: grpc.unary_unary_rpc_method_handler(_unary(taken, getattr(self, name)))
            for name, taken in _TAKEN.items()
        }
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(self.ModelStreamInfer)
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def ServerLive(self, request: Any, call: Any) -> Message:
        """Whether the process answers."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, call: Any) -> Message:
        """As /readyz."""
        return pb.ServerReadyResponse(ready=await self._repository.is_ready())

    async def ServerMetadata(self, request: Any, call: Any) -> Message:
        """Name, version, extensions."""
        return pb.ServerMetadataResponse(**self._repository.metadata())

    async def ModelReady(self, request: Any, call: Any) -> Message:
        """As the service."""
        self._repository.model(request.name, request.version)
        return pb.ModelReadyResponse(ready=await self._repository.is_ready())

    async def ModelMetadata(self, request: Any, call: Any) -> Message:
        """The tensors."""
        model = self._repository.model(request.name, request.version)
        return pb.ModelMetadataResponse(**model.metadata(request.name, self._repository.version))

    async def ModelConfig(self, request: Any, call: Any) -> Message:
        """The tensors in Triton's words."""
        model = self._repository.model(request.name, request.version)
        return pb.ModelConfigResponse(config=ParseDict(configuration(request.name, model), pb.ModelConfig()))

    async def ModelStatistics(self, request: Any, call: Any) -> Message:
        """How often models were asked."""
        found = {"model_stats": statistics(self._repository, request.name, request.version)}
        return ParseDict(found, pb.ModelStatisticsResponse())

    async def RepositoryIndex(self, request: Any, call: Any) -> Message:
        """All models."""
        return pb.RepositoryIndexResponse(models=await self._repository.index(request.ready))

    async def ModelInfer(self, request: Any, call: Call) -> bytes:
        """One prediction."""
        with begun(self._repository, call) as one:
            one.is_raw = True
            tensors = await one.tensors(messages.read(request))
            one.answer = messages.answer(call.model, self._repository.version, request.id, tensors).SerializeToString()
        return one.answer

    async def ModelStreamInfer(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        """Predictions one after the other; each answer, and each part of one, as it comes. Errors do not end it."""
        async for raw in requests:
            try:
                request = _decoded(pb.ModelInferRequest, raw)
            except InferenceError as error:
                await _abort(error, context)
            try:
                async for found in self._parts(request, _call(request, raw, context)):
                    yield found
            except InferenceError as error:
                response = pb.ModelInferResponse(id=request.id)
                found = pb.ModelStreamInferResponse(error_message=error.message, infer_response=response)
                yield found.SerializeToString()

    async def _parts(self, request: Any, call: Call) -> AsyncIterator[bytes]:
        with begun(self._repository, call) as one:
            one.is_raw = True
            asked = messages.read(request)
            several = one.model.is_stream
            async for tensors in one.parts(asked):
                found = messages.answer(call.model, self._repository.version, request.id, tensors)
                one.answer = messages.part(found, final=not several).SerializeToString()
                yield one.answer
        if several and asked.parameters.get(_EMPTY_FINAL):
            found = messages.answer(call.model, self._repository.version, request.id, [])
            yield messages.part(found, final=True).SerializeToString()


_TAKEN: dict[str, Any] = {
    "ServerLive": pb.ServerLiveRequest,
    "ServerReady": pb.ServerReadyRequest,
    "ServerMetadata": pb.ServerMetadataRequest,
    "ModelReady": pb.ModelReadyRequest,
    "ModelMetadata": pb.ModelMetadataRequest,
    "ModelConfig": pb.ModelConfigRequest,
    "ModelStatistics": pb.ModelStatisticsRequest,
    "RepositoryIndex": pb.RepositoryIndexRequest,
    "ModelInfer": pb.ModelInferRequest,
}


def _unary(taken: Any, method: Answer) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def handle(raw: bytes, context: Any) -> bytes:
        try:
            request = _decoded(taken, raw)
            found = await method(request, _call(request, raw, context) if taken is pb.ModelInferRequest else None)
        except InferenceError as error:
            await _abort(error, context)
        return found if isinstance(found, bytes) else found.SerializeToString()

    return handle


def _decoded(taken: Any, raw: bytes) -> Any:
    try:
        return taken.FromString(raw)
    except DecodeError:
        raise InferenceError(f"the message is no valid {taken.DESCRIPTOR.full_name}") from None


async def _abort(error: InferenceError, context: Any) -> NoReturn:
    """End a request with an error; where asking again may help, with the time in gRPC's and in HTTP's way."""
    usual = grpc.StatusCode.INVALID_ARGUMENT if error.status < 500 else grpc.StatusCode.INTERNAL
    trailers: tuple[tuple[str, str], ...] = ()
    if error.retry_after is not None:
        after = str(int(error.retry_after * 1000))
        trailers = ("retry-after", str(error.retry_after)), ("grpc-retry-pushback-ms", after)
    await context.abort(_CODES.get(HTTPStatus(error.status), usual), error.message, trailers)
    raise AssertionError("unreachable")


def _call(request: Any, raw: bytes, context: Any) -> Call:
    headers = [
        (name.encode(), value.encode() if isinstance(value, str) else value)
        for name, value in context.invocation_metadata() or ()
    ]
    named = header(headers, b"x-client-id")
    client = named.decode("latin-1") if named else context.peer().rsplit(":", 1)[0]
    return Call(request.model_name, request.model_version, headers, client, raw, True)
