"""What is no gRPC on its port, and messages that are none of the protocol's."""

from __future__ import annotations

import struct

import grpc
import pytest

from tests.serving.robust.conftest import Server
from tests.serving.sockets import exchange, request

pytestmark = pytest.mark.integration
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def _reset_at_once(stream: int) -> bytes:
    number = struct.pack(">I", stream)
    return b"\x00\x00\x01\x01\x04" + number + b"\x82" + b"\x00\x00\x04\x03\x00" + number + b"\x00\x00\x00\x08"


_NOISE = {
    "zeros": bytes(5000),
    "HTTP/1.1": request("/add", b"{}"),
    "TLS": bytes.fromhex("16030100a5010000a10303") + bytes(160),
    "a preface and no frames": _PREFACE + b"\xff" * 5000,
    "20,000 settings": _PREFACE + _SETTINGS * 20_000,
    "10,000 streams reset at once": _PREFACE + _SETTINGS + b"".join(_reset_at_once(n) for n in range(1, 20_001, 2)),
}


@pytest.mark.parametrize("name", _NOISE)
def test_noise_on_the_port(server: Server, name: str) -> None:
    with server.bounded():
        exchange(server.rpc, _NOISE[name], timeout=1)


@pytest.mark.parametrize("method", ["ModelInfer", "ServerLive", "ModelMetadata", "NoSuchMethod"])
@pytest.mark.parametrize("message", [b"\xff\xff\xff", b"\x0a\x05abc", bytes(8 * 2**20)], ids=["tags", "cut", "large"])
def test_messages_of_no_kind(server: Server, method: str, message: bytes) -> None:
    options = [("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(server.rpc.removeprefix("http://"), options) as channel:
        call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
        with pytest.raises(grpc.RpcError) as raised:
            call(message, timeout=120)
    expected = grpc.StatusCode.INVALID_ARGUMENT if len(message) < 100 else grpc.StatusCode.RESOURCE_EXHAUSTED
    assert raised.value.code() == (grpc.StatusCode.UNIMPLEMENTED if method == "NoSuchMethod" else expected)
