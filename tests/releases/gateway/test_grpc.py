"""gRPC through the gateway: calls, streams, splits, keys, errors in gRPC's own words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from boxplat.releases import keys
from boxplat.supervisor.sockets import free_port
from tests.releases.gateway.conftest import Place, until
from tests.releases.gateway.servers import dead_port

pytestmark = pytest.mark.integration
Serve = Callable[[str], int]


def _handlers(tag: str) -> grpc.GenericRpcHandler:
    def echo(request: bytes, context: Any) -> bytes:
        context.set_trailing_metadata((("x-tag", tag),))
        return f"{tag}:{request.decode()}".encode()

    def count(request: bytes, context: Any) -> Iterator[bytes]:
        for number in range(int(request)):
            yield str(number).encode()

    def refuse(request: bytes, context: Any) -> bytes:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not like this")
        return b""

    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return grpc.method_handlers_generic_handler(
        "test.Service", {"Echo": unary(echo), "Count": stream(count), "Refuse": unary(refuse)}
    )


@pytest.fixture
def serve() -> Iterator[Serve]:
    started = []

    def begin(tag: str) -> int:
        server = grpc.server(ThreadPoolExecutor(4))
        server.add_generic_rpc_handlers((_handlers(tag),))
        port = int(server.add_insecure_port("127.0.0.1:0"))
        server.start()
        started.append(server)
        return port

    yield begin
    for server in started:
        server.stop(None)


def _endpoint(place: Place, serve: Serve, tags: list[str], **settings: Any) -> tuple[str, str]:
    """An endpoint with a release for each tag: its name and the address of its gRPC listener."""
    number = len(tags)
    servers = {release: [place.server(tag)] for release, tag in enumerate(tags, 1)}
    name = place.endpoint(servers, {number: 100}, grpc_port=free_port(0), **settings)
    for release, tag in enumerate(tags, 1):
        place.replicas(name, release, [servers[release][0].port], grpc_port=serve(tag))
    address = place.applied.endpoints[name].grpc
    assert address is not None
    with grpc.insecure_channel(address) as channel:
        until(lambda: _reached(channel), "the process is known to the gateway")
    return name, address


def _reached(channel: grpc.Channel) -> bool:
    try:
        channel.unary_unary("/test.Service/Echo")(b"", timeout=10)
    except grpc.RpcError as error:
        return bool(error.code() is grpc.StatusCode.UNAUTHENTICATED)
    return True


def test_calls_streams_and_errors_pass(place: Place, serve: Serve) -> None:
    _, address = _endpoint(place, serve, ["1"])
    with grpc.insecure_channel(address) as channel:
        answer, call = channel.unary_unary("/test.Service/Echo").with_call(b"hello", timeout=60)
        assert answer == b"1:hello" and ("x-tag", "1") in call.trailing_metadata()
        assert list(channel.unary_stream("/test.Service/Count")(b"50", timeout=60)) == [
            str(i).encode() for i in range(50)
        ]
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Service/Refuse")(b"", timeout=60)
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.INVALID_ARGUMENT, "not like this")
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary("/test.Service/Nothing")(b"", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_calls_follow_the_split_and_the_key(place: Place, serve: Serve) -> None:
    name, address = _endpoint(place, serve, ["1", "2"], sticky="x-user")
    place.split(name, {1: 50, 2: 50})
    with grpc.insecure_channel(address) as channel:
        echo = channel.unary_unary("/test.Service/Echo")
        found = Counter(echo(b"", timeout=60) for _ in range(200))
        assert found.keys() == {b"1:", b"2:"} and min(found.values()) > 60
        for user in "abcdef":
            assert len({echo(b"", timeout=60, metadata=(("x-user", user),)) for _ in range(5)}) == 1
        place.split(name, {1: 100})
        assert {echo(b"", timeout=60) for _ in range(50)} == {b"1:"}


def test_a_key_is_asked_for_in_grpcs_own_words(place: Place, serve: Serve) -> None:
    _, address = _endpoint(place, serve, ["1"])
    token = keys.make(place.state, "caller", ["invoke"], "test").token
    try:
        with grpc.insecure_channel(address) as channel:
            echo = channel.unary_unary("/test.Service/Echo")
            with pytest.raises(grpc.RpcError) as caught:
                echo(b"", timeout=60)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            assert echo(b"", timeout=60, metadata=(("authorization", f"Bearer {token}"),)) == b"1:"
    finally:
        keys.revoke(place.state, "caller", "test")


def test_a_process_that_is_gone_is_unavailable(place: Place, serve: Serve) -> None:
    name, address = _endpoint(place, serve, ["1"])
    place.replicas(name, 1, [place.server("x").port], grpc_port=dead_port())

    def code() -> grpc.StatusCode | None:
        with grpc.insecure_channel(address) as channel:
            try:
                channel.unary_unary("/test.Service/Echo")(b"", timeout=60)
            except grpc.RpcError as error:
                found: grpc.StatusCode = error.code()
                return found
            return None

    until(lambda: code() is grpc.StatusCode.UNAVAILABLE, "the dead process is asked")
