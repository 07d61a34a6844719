"""Open-loop load: requests leave at their times whether or not earlier ones were answered.

The time to an answer counts from when the request was meant to leave, as wrk2 counts it, so a server that stalls cannot
make its load wait with it.
"""

from __future__ import annotations

import asyncio
import gc
import random
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import cast

from contenders import Way

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_RETRY = re.compile(rb"\r\nretry-after:", re.IGNORECASE)
BROKEN, UNANSWERED = 0, -1


@dataclass
class Sent:
    """What became of the requests of one phase.

    Attributes:
        answers: status, seconds since the request was meant to leave, seconds since it did leave; `BROKEN` where the
            connection failed, `UNANSWERED` where nothing came.
        lateness: seconds from then until it left; large ones mean that the generator itself could not keep up.
        retry_after: answers that say when to come back.
    """

    offered: int = 0
    answers: list[tuple[int, float, float]] = field(default_factory=list)
    lateness: list[float] = field(default_factory=list)
    retry_after: int = 0


@dataclass
class Load:
    """A pool of connections to one way of asking a server on this machine."""

    port: int
    way: Way
    connections: int = 4096
    timeout: float = 10.0

    def __post_init__(self) -> None:
        headers = {"host": f"127.0.0.1:{self.port}", "content-length": str(len(self.way.body)), **self.way.headers}
        head = [f"POST {self.way.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        self.request = "\r\n".join([*head, "", ""]).encode() + self.way.body
        self.free: list[_Line] = []
        self.open = 0
        self.due: deque[float] = deque()
        self.sent = Sent()
        self.lines: set[_Line] = set()

    async def phase(self, rate: float, seconds: float, poisson: bool = True) -> Sent:
        """Requests at a rate for a time; returns once each is answered or has waited for `timeout`."""
        self.sent = sent = Sent()
        loop = asyncio.get_running_loop()
        gc.collect()
        gc.disable()
        start = loop.time()
        for moment in _arrivals(rate, seconds, poisson):
            if (wait := start + moment - loop.time()) > 0:
                await asyncio.sleep(wait)
            sent.offered += 1
            self._leave(start + moment)
        deadline = loop.time() + self.timeout
        while len(sent.answers) < sent.offered and loop.time() < deadline:
            await asyncio.sleep(0.01)
        gc.enable()
        sent.answers += [(UNANSWERED, self.timeout, self.timeout)] * (sent.offered - len(sent.answers))
        self._drop_busy()
        return sent

    def _leave(self, moment: float) -> None:
        if self.free:
            self.free.pop().ask(moment)
            return
        self.due.append(moment)
        if self.open < self.connections:
            self.open += 1
            connecting = asyncio.get_running_loop().create_task(self._connect())
            connecting.add_done_callback(self._connected)

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Line(self), "127.0.0.1", self.port)

    def _connected(self, connecting: asyncio.Task[None]) -> None:
        if connecting.exception() is not None:
            self.open -= 1
            if self.due:
                self.sent.answers.append((BROKEN, 0.0, 0.0))
                self.due.popleft()

    def idle(self, line: _Line) -> None:
        if self.due:
            line.ask(self.due.popleft())
        else:
            self.free.append(line)

    def _drop_busy(self) -> None:
        """Nothing of this phase may be counted in the next one."""
        self.due.clear()
        for line in [one for one in self.lines if one.moment is not None]:
            line.moment = None
            line.transport.abort()

    def close(self) -> None:
        for line in self.lines:
            line.transport.abort()


class _Line(asyncio.Protocol):
    """One connection, with one request at a time."""

    transport: asyncio.Transport

    def __init__(self, load: Load) -> None:
        self.load = load
        self.moment: float | None = None
        self.left = 0.0
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.now = asyncio.get_running_loop().time
        self.load.lines.add(self)
        self.load.idle(self)

    def ask(self, moment: float) -> None:
        self.moment = moment
        self.left = self.now()
        self.load.sent.lateness.append(self.left - moment)
        self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        self.got += data
        end = self.got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.got[: end + 2]
        length = _LENGTH.search(head)
        if length is None or len(self.got) < end + 4 + int(length[1]):
            return
        self.got = b""
        self._answered(head)

    def _answered(self, head: bytes) -> None:
        if self.moment is not None:
            sent, moment = self.load.sent, self.moment
            self.moment = None
            now = self.now()
            sent.answers.append((int(head[9:12]), now - moment, now - self.left))
            sent.retry_after += _RETRY.search(head) is not None
        if _CLOSE.search(head):
            self.transport.close()
        else:
            self.load.idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.load.open -= 1
        self.load.lines.discard(self)
        if self in self.load.free:
            self.load.free.remove(self)
        if self.moment is not None:
            self.load.sent.answers.append((BROKEN, self.now() - self.moment, self.now() - self.left))


def _arrivals(rate: float, seconds: float, poisson: bool) -> Iterator[float]:
    """Seconds since the start."""
    chance, moment = random.Random(0), 0.0
    while moment < seconds:
        yield moment
        moment += chance.expovariate(rate) if poisson else 1 / rate
