"""Processes of releases as the gateway sees them, and a client that counts: plain sockets, so that bytes are known."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What arrived at a process."""

    method: str
    path: str
    head: str
    size: int

    def header(self, name: str) -> str | None:
        lines = (line.partition(": ") for line in self.head.split("\r\n")[1:])
        return next((value for key, _, value in lines if key.lower() == name), None)


@dataclass
class Server:
    """One process of a release, on loopback. Its answers say which it is.

    `/slow/S` answers after S seconds, `/held` once `freed` is set, `/reset` breaks off without an answer, `/fail`
    answers 500, `/stream` sends three pieces, each as soon as `pieces` lets it, and `/size` tells the size of the body.
    """

    tag: str
    port: int = 0
    seen: list[Request] = field(default_factory=list)
    resets: bool = True
    fails: bool = True
    slow: bool = True
    pieces: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    freed: threading.Event = field(default_factory=threading.Event)
    _server: asyncio.Server | None = None

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", self.port, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()

    def got(self, path: str) -> list[Request]:
        return [request for request in list(self.seen) if request.path == path]

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                method, path, _ = head.split(" ", 2)
                request = Request(method, path, head, await _body(reader, head.lower()))
                self.seen.append(request)
                answer = await self._answer(request, writer)
                if answer is None:
                    break
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> bytes | None:
        status, said = "200 OK", {"release": self.tag}
        if request.path.startswith("/slow/") and self.slow:
            await asyncio.sleep(float(request.path.rpartition("/")[2]))
        elif request.path == "/held":
            while not self.freed.is_set():
                await asyncio.sleep(0.01)
        elif request.path == "/reset" and self.resets:
            return None
        elif request.path == "/fail" and self.fails:
            status = "500 Internal Server Error"
        elif request.path == "/size":
            said["size"] = str(request.size)
        elif request.path == "/stream":
            return await self._stream(writer)
        body = json.dumps(said).encode()
        return (
            f"HTTP/1.1 {status}\r\nServer: Its-Own\r\nX-CaSe: kept\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def _stream(self, writer: asyncio.StreamWriter) -> bytes:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two", b"six"):
            await asyncio.to_thread(self.pieces.acquire)
            writer.write(b"3\r\n" + piece + b"\r\n")
        return b"0\r\n\r\n"


async def _body(reader: asyncio.StreamReader, head: str) -> int:
    if "transfer-encoding: chunked" in head:
        size = 0
        while length := int(await reader.readline(), 16):
            await reader.readexactly(length + 2)
            size += length
        await reader.readline()
        return size
    length = int(head.partition("content-length:")[2].partition("\r\n")[0] or 0)
    left = length
    while left:
        left -= len(await reader.readexactly(min(left, 2**16)))
    return length


class Loop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    def run(self, work: Awaitable[None]) -> None:
        async def done() -> None:
            await work

        asyncio.run_coroutine_threadsafe(done(), self._loop).result(60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()


@dataclass(frozen=True)
class Answer:
    """What a client got; status 0: the connection ended without an answer."""

    status: int
    head: str
    body: bytes
    seconds: float = 0.0

    @property
    def release(self) -> str:
        return str(json.loads(self.body)["release"])


def ask(port: int, text: bytes) -> Answer:
    """Send bytes over a fresh connection and read one answer."""
    return asyncio.run(_one(port, text))


async def _one(port: int, text: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        return await exchange(reader, writer, text)
    finally:
        writer.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, text: bytes) -> Answer:
    """One request on an open connection."""
    began = asyncio.get_running_loop().time()
    try:
        writer.write(text)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        length = head.lower().partition("content-length:")[2].partition("\r\n")[0]
        body = await reader.readexactly(int(length)) if length else b""
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, "", b"")
    return Answer(int(head.split(" ", 2)[1]), head, body, asyncio.get_running_loop().time() - began)


def many(
    port: int, texts: Iterable[bytes], clients: int = 16, each: Callable[[int], None] | None = None
) -> list[Answer]:
    """Send requests from several clients that keep their connections; the answers in the order of the requests.

    Args:
        each: called with the number of answers so far, after each.
    """
    return asyncio.run(_many(port, list(texts), clients, each or (lambda count: None)))


async def _many(port: int, texts: list[bytes], clients: int, each: Callable[[int], None]) -> list[Answer]:
    answers: dict[int, Answer] = {}
    queue = iter(enumerate(texts))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, text in queue:
            answer = await exchange(reader, writer, text)
            answers[number] = answer
            each(len(answers))
            if answer.status == 0 or "connection: close" in answer.head.lower():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return [answers[number] for number in range(len(texts))]


def request(path: str = "/predict", method: str = "POST", body: bytes = b"{}", **headers: str) -> bytes:
    """The bytes of a request; `_` in names of headers stands for `-`."""
    lines = [f"{method} {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def dead_port() -> int:
    """A port where nobody listens, nor will: its socket stays bound."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    _BOUND.append(sock)
    return int(sock.getsockname()[1])


_BOUND: list[socket.socket] = []
