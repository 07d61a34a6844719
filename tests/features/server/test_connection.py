"""The short way of plain reads: the bytes on the wire are those of the long way, however a request is cut."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from boxplat.features.server.connection import ReadConnection
from boxplat.features.server.routes import application
from boxplat.serving.http import patience
from tests.features.server.conftest import READ, Server

pytestmark = pytest.mark.integration

BODY = json.dumps({"feature_service": "all_types", "entities": {"driver_id": [1, 9]}}).encode()
HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"


def request(body: bytes = BODY, *lines: str, target: str = READ, version: str = "1.1") -> bytes:
    known = ["host: localhost", "content-type: application/json", f"content-length: {len(body)}"]
    return "\r\n".join([f"POST {target} HTTP/{version}", *(lines or known), "", ""]).encode() + body


class Client:
    """One connection, byte by byte."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=120)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ask(self, *pieces: bytes) -> bytes:
        """The whole answer to a request that is sent in pieces."""
        for piece in pieces:
            self.socket.sendall(piece)
        return self.answer()

    def answer(self) -> bytes:
        """The next answer, empty when the server has closed."""
        while True:
            head, found, rest = self._rest.partition(b"\r\n\r\n")
            lengths = [int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")]
            if found and not head.startswith(b"HTTP/1.1 100") and len(rest) >= lengths[0]:
                self._rest = rest[lengths[0] :]
                return head + found + rest[: lengths[0]]
            if found and head.startswith(b"HTTP/1.1 100"):
                self._rest = rest
                continue
            received = self.socket.recv(65536)
            if not received:
                return b""
            self._rest += received

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()


KINDS = {
    "present and not found": request(),
    "one entity": request(b'{"features":["every:f64","every:text"],"entities":{"driver_id":[3]}}'),
    "unknown feature": request(b'{"features":["every:zip"],"entities":{"driver_id":[1]}}'),
    "bad key": request(b'{"features":["every:i64"],"entities":{"driver_id":["x"]}}'),
    "a surrogate as a key": request(b'{"features":["cities:n"],"entities":{"city":["\\ud800"]}}'),
    "unequal lengths": request(b'{"features":["every:i64"],"entities":{"driver_id":[1],"city":["a","b"]}}'),
    "broken JSON": request(b"{nope"),
    "no body": request(b""),
    "query": request(target=f"{READ}?a=1"),
    "other target": request(target="/random"),
    "other method": request().replace(b"POST", b"PUT", 1),
    "old version": request(version="1.0"),
    "closing": request(BODY, "host: localhost", "connection: close", f"content-length: {len(BODY)}"),
    "other host": request(BODY, "host: evil.example", f"content-length: {len(BODY)}"),
    "no content type": request(BODY, "host: localhost", f"content-length: {len(BODY)}"),
    "expecting": request(
        BODY,
        "host: localhost",
        "content-type: application/json",
        "expect: 100-continue",
        f"content-length: {len(BODY)}",
    ),
    "upgrading": request(
        BODY, "host: localhost", "connection: upgrade", "upgrade: websocket", f"content-length: {len(BODY)}"
    ),
    "in chunks": request(b"", "host: localhost", "content-type: application/json", "transfer-encoding: chunked")
    + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    "no HTTP": b"NOPE\r\n\r\n",
}


def the_long_way(asked: bytes) -> bytes:
    """The same request with a query, which nobody reads: it goes through uvicorn and the application."""
    return asked.replace(b" HTTP/", b"? HTTP/", 1)


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_give_the_same_bytes(kind: str, server: Server) -> None:
    """Also on a connection that was used before."""
    with Client(server) as fresh, Client(server) as kept, Client(server) as long:
        kept.ask(HEALTH)
        expected = long.ask(the_long_way(KINDS[kind]))
        assert expected and fresh.ask(KINDS[kind]) == expected
        assert kept.ask(KINDS[kind]) == expected


def test_a_request_in_two_pieces_is_one(server: Server) -> None:
    whole = request()
    with Client(server) as client:
        expected = client.ask(the_long_way(whole))
        for at in range(1, len(whole)):
            assert client.ask(whole[:at], whole[at:]) == expected
        assert client.ask(*(bytes([byte]) for byte in whole)) == expected


def test_requests_that_come_at_once_are_answered_in_their_order(server: Server) -> None:
    others = [request(json.dumps({"features": ["every:i64"], "entities": {"driver_id": [n]}}).encode()) for n in (1, 2)]
    sent = [HEALTH, others[0], KINDS["unknown feature"], others[1], HEALTH, others[0]]
    with Client(server) as one:
        expected = [one.ask(the_long_way(each)) for each in sent]
        cut = len(b"".join(sent)) - 7
        assert [one.ask(b"".join(sent)[:cut], b"".join(sent)[cut:]), *(one.answer() for _ in sent[1:])] == expected


def test_a_body_that_looks_like_a_request_is_a_body(server: Server) -> None:
    """Also when it comes alone, and after an answer that did not wait for it."""
    inner = request()
    for target in (READ, "/random"):
        outer = request(inner, target=target)
        with Client(server) as long, Client(server) as kept:
            kept.ask(HEALTH)
            cut = len(outer) - len(inner)
            expected = long.ask(the_long_way(outer))
            assert kept.ask(outer[:cut], inner) == expected
            assert kept.ask(HEALTH).startswith(b"HTTP/1.1 200 OK\r\ncontent-length: 0")


def test_a_body_that_is_slow_or_large_comes_whole(server: Server) -> None:
    large = BODY[:-1] + b" " * 300_000 + b"}"
    with Client(server) as client:
        expected = client.ask(the_long_way(request()))
        assert client.ask(request(large)) == expected
        client.socket.sendall(request()[:-5])
        # The server has the first part when it answers another request that came later.
        assert server.get("/health").status == 200
        assert client.ask(request()[-5:]) == expected


def test_clients_that_go_away_in_the_middle_do_no_harm(server: Server) -> None:
    for _ in range(20):
        client = Client(server)
        client.ask(HEALTH)
        client.socket.sendall(request()[:-5])
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        client.socket.close()
    assert server.ask(BODY).status == 200
    assert "Traceback" not in server.log.read_text()


def test_a_request_half_way_on_a_kept_connection_is_answered_after_sigterm(repository: Path, tmp_path: Path) -> None:
    server = Server(repository, tmp_path / "log", patient=True)
    try:
        with Client(server) as client, Client(server) as idle:
            expected = client.ask(request())
            idle.ask(HEALTH)
            client.socket.sendall(request()[:-5])
            # The server has the first part when it answers another request that came later.
            assert server.get("/health").status == 200
            server.process.send_signal(signal.SIGTERM)
            # From here on the server is closing.
            assert idle.answer() == b""
            found = client.ask(request()[-5:])
            assert (
                found.startswith(b"HTTP/1.1 200")
                and found.partition(b"\r\n\r\n")[2] == expected.partition(b"\r\n\r\n")[2]
            )
            assert client.answer() == b""
        assert server.process.wait(60) in (0, -signal.SIGTERM)
    finally:
        server.close()


class Wire(asyncio.Transport):
    """Keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def take(self) -> bytes:
        found, self.sent = self.sent, b""
        return found


async def connected(repository: Path) -> tuple[ReadConnection, Wire]:
    """A connection that has answered its first request."""
    config = uvicorn.Config(application(repository), http=ReadConnection, ws="none", log_config=None, lifespan="off")
    config.load()
    connection, wire = ReadConnection(config, server_state=ServerState(), app_state={}), Wire()
    connection.connection_made(wire)
    connection.data_received(HEALTH)
    while connection.timeout_keep_alive_task is None:
        await asyncio.sleep(0)
    wire.take()
    return connection, wire


def test_a_plain_read_takes_no_turn_of_the_loop(repository: Path) -> None:
    """The proof that the tests above compare two ways; also that the parser is met between requests only."""

    async def check() -> None:
        connection, wire = await connected(repository)
        connection.data_received(request())
        answer = wire.take()
        assert answer.startswith(b"HTTP/1.1 200")
        connection.data_received(request()[:-9])
        connection.data_received(request()[-9:])
        assert wire.take() == answer
        # The beginning of a head, which the parser has, makes the rest of it no request of its own.
        connection.data_received(b"POST /random HTTP/1.1\r\nx: ")
        connection.data_received(request())
        assert wire.take() == b""

    asyncio.run(check())


@pytest.mark.parametrize("begun", [request()[:-5], request()[:40]], ids=["body", "head"])
def test_a_client_that_sends_too_slowly_is_told_and_left(
    begun: bytes, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the application lives, which is what its server's lifespan messages say."""
    monkeypatch.setattr(patience, "_GRACE_SECONDS", 0.05)

    async def check() -> None:
        connection, wire = await connected(repository)
        asked: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        answered: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        living = asyncio.create_task(connection.config.app({"type": "lifespan"}, asked.get, answered.put))
        asked.put_nowait({"type": "lifespan.startup"})
        assert await answered.get() == {"type": "lifespan.startup.complete"}
        connection.data_received(begun)
        async with asyncio.timeout(60):
            while not wire.closed:
                await asyncio.sleep(0)
        assert wire.take().startswith(b"HTTP/1.1 408")
        asked.put_nowait({"type": "lifespan.shutdown"})
        assert await answered.get() == {"type": "lifespan.shutdown.complete"}
        await living

    asyncio.run(check())


def test_a_connection_is_closed_when_it_is_idle_and_not_before(repository: Path) -> None:
    async def check() -> None:
        connection, wire = await connected(repository)
        connection.timeout_keep_alive = 0.4  # type: ignore[assignment]
        connection.on_response_complete()
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + 1.2:
            connection.data_received(request())
            await asyncio.sleep(0)
            assert not wire.closed
        while not wire.closed:
            await asyncio.sleep(0)
        assert loop.time() < began + 60

    asyncio.run(check())
