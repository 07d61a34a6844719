"""A load generator that knows of every request on which connection it went, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil


@dataclass(frozen=True)
class Failed:
    """A request without a whole answer; `port` is the client's, so that the server's end of it can be found."""

    port: int
    why: str


@dataclass
class Load:
    """Clients that each send one request after the other on a connection that they keep while the server lets them.

    Attributes:
        answered: by worker (the `pid` in the answers).
        connected: connections, by the worker that answered first on them.
        statuses: of the answers.
        failed: requests without an answer.
        held: connections that are open, by the same worker.
        each: requests after which a client takes another connection; 0: it keeps it.
    """

    port: int
    path: str = "/who"
    body: bytes = b"{}"
    answered: Counter[int] = field(default_factory=Counter)
    connected: Counter[int] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failed: list[Failed] = field(default_factory=list)
    held: Counter[int] = field(default_factory=Counter)
    each: int = 0
    stopped: bool = False

    async def run(self, clients: int) -> None:
        """Until it is stopped."""
        await asyncio.gather(*(self._client() for _ in range(clients)))

    async def _client(self) -> None:
        while not self.stopped:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                await self._requests(reader, writer)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent, kept, holder = 0, True, 0
        head = f"POST {self.path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        request = f"{head}Content-Length: {len(self.body)}\r\n\r\n".encode() + self.body
        port = writer.get_extra_info("sockname")[1]
        try:
            while kept and not self.stopped and not (self.each and sent >= self.each):
                try:
                    writer.write(request)
                    status, kept, answer = await _answer(reader)
                except (OSError, asyncio.IncompleteReadError) as error:
                    self.failed.append(Failed(port, repr(error)))
                    return
                self.statuses[status] += 1
                worker = answer.get("pid", 0) if isinstance(answer, dict) else 0
                self.answered[worker] += 1
                if not sent:
                    holder = worker
                    self.connected[holder] += 1
                    self.held[holder] += 1
                sent += 1
        finally:
            self.held[holder] -= bool(sent)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bool, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers.get("connection") != "close", json.loads(body)


@contextlib.contextmanager
def under_load(load: Load, clients: int) -> Iterator[Load]:
    """Sends requests while the block runs; every request that was sent has ended after it."""
    thread = threading.Thread(target=lambda: asyncio.run(load.run(clients)))
    thread.start()
    try:
        yield load
    finally:
        load.stopped = True
        thread.join(60)
        assert not thread.is_alive(), "a request got no answer in 60 s"


def kill_at_work(victim: psutil.Process, port: int) -> set[int]:
    """Kill a server as it stands, and return its clients' ports: their requests were in flight."""
    victim.suspend()
    while victim.status() != psutil.STATUS_STOPPED:
        pass
    clients = {row.raddr.port for row in victim.net_connections() if row.raddr and row.laddr.port == port}
    victim.kill()
    return clients
