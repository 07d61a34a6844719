"""Bodies and heads that are too large, or end too early: refused at once, in little memory."""

from __future__ import annotations

import select
import socket
import struct

import pytest

from tests.serving.robust.conftest import BODY_MIB, Server
from tests.serving.sockets import ENDED, connected, exchange, request, rest, statuses

pytestmark = pytest.mark.integration
_GIB = 2**30
_JSON = b"Content-Type: application/json"
_FORM = b"Content-Type: multipart/form-data; boundary=b"


def _head(path: str, *heads: bytes) -> bytes:
    return b"\r\n".join([b"POST " + path.encode() + b" HTTP/1.1", b"Host: x", *heads, b"\r\n"])


def _poured(made: socket.socket, piece: bytes, times: int) -> int:
    """Send a piece again and again until an answer comes or the other side has had enough; how often it was sent."""
    for count in range(times):
        if select.select([made], [], [], 0)[0]:
            return count
        try:
            made.sendall(piece)
        except OSError:
            return count
    return times


@pytest.mark.parametrize(("path", "expecting"), [("/add", False), ("/add", True), ("/size", False), ("/no", True)])
def test_a_length_of_a_gibibyte_is_refused_before_it_is_sent(server: Server, path: str, expecting: bool) -> None:
    heads = [b"Content-Length: %d" % _GIB, _FORM if path == "/size" else _JSON]
    if expecting:
        heads.append(b"Expect: 100-continue")
    with server.bounded(), connected(server.url) as made:
        made.sendall(_head(path, *heads))
        answer = rest(made)
    assert statuses(answer) == [413]
    assert answer.endswith(ENDED)


@pytest.mark.parametrize("path", ["/add", "/size"])
def test_a_gibibyte_that_comes_all_the_same_is_not_kept(server: Server, path: str) -> None:
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(_head(path, b"Content-Length: %d" % _GIB, _JSON))
        sent = _poured(made, bytes(2**20), 1024)
        check()
    assert sent < 1024


@pytest.mark.parametrize(("path", "size"), [("/add", 2**20), ("/size", 2**20), ("/add", 16)])
def test_chunks_of_a_gibibyte_are_refused_on_their_way(server: Server, path: str, size: int) -> None:
    heads = [b"Transfer-Encoding: chunked", _FORM if path == "/size" else _JSON]
    piece = b"%x\r\n%b\r\n" % (size, bytes(size)) * (2**20 // size)
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(_head(path, *heads))
        if path == "/size":
            head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
            made.sendall(b"%x\r\n%b\r\n" % (len(head), head))
        sent = _poured(made, piece, 1024)
        check()
        answer = rest(made)
    assert BODY_MIB <= sent + 1 < 200
    assert statuses(answer) in ([413], []), answer


def test_a_body_just_below_the_limit_is_answered(server: Server) -> None:
    body = b'{"a": 1, "x": "' + b"x" * (BODY_MIB * 2**20 - 100) + b'"}'
    assert statuses(exchange(server.url, request("/add", body))) == [200]


def test_a_head_of_64_mebibytes_is_refused(server: Server) -> None:
    for line in (b"X: " + b"x" * 2**20, b"X: x\r\n" * 2**17):
        with server.bounded() as check, connected(server.url) as made:
            made.sendall(b"POST /add HTTP/1.1\r\nHost: x\r\n")
            sent = _poured(made, line, 64)
            check()
            answer = rest(made)
        assert sent < 64
        assert statuses(answer) in ([400], [431], []), answer


def test_a_target_of_64_mebibytes_is_refused(server: Server) -> None:
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(b"POST /")
        sent = _poured(made, b"x" * 2**20, 64)
        check()
        assert statuses(rest(made)) in ([400], [414], [431], [])
    assert sent < 64


def test_10_000_headers(server: Server) -> None:
    lines = [b"X-%d: %d" % (n, n) for n in range(10_000)]
    assert statuses(exchange(server.url, request("/add", b'{"a":1}', [_JSON, *lines]))) in ([200], [400], [431])


def test_trailers_without_end(server: Server) -> None:
    with server.bounded() as check, connected(server.url) as made:
        made.sendall(_head("/add", b"Transfer-Encoding: chunked") + b'7\r\n{"a":1}\r\n0\r\n')
        _poured(made, b"X: x\r\n" * 2**17, 64)
        check()


def test_empty_lines_without_end(server: Server) -> None:
    with server.bounded() as check, connected(server.url) as made:
        _poured(made, b"\r\n" * 2**19, 64)
        check()


@pytest.mark.parametrize("reset", [False, True])
def test_connections_that_end_in_mid_request(server: Server, reset: bool) -> None:
    whole = [
        request("/add", b'{"a": 1, "x": "%b"}' % (b"x" * 1000), close=False),
        request("/add", b'{"a": 1, "x": "%b"}' % (b"x" * 500_000), close=False),
        request("/size", b"--b\r\n" + bytes(10_000), [_FORM], close=False),
        _head("/add", b"Transfer-Encoding: chunked") + b"ffff\r\n" + bytes(1000),
    ]
    for sent in whole:
        for cut in (1, 20, sent.find(b"\r\n\r\n") + 4, len(sent) // 2, len(sent) - 1):
            made = connected(server.url)
            made.sendall(sent[:cut])
            if reset:
                made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            made.close()
