"""One listening socket for several workers, each of which takes its fair share of the connections.

All wait on the same queue, so that a connection is never lost with a worker that has not accepted it. By themselves the
first to wake up would accept everything that is there. Here a worker that has more connections than another one leaves
it a moment to be faster.
"""

from __future__ import annotations

import asyncio
import mmap
import socket
from collections.abc import Callable
from typing import Any

from boxplat.serving.member import ABSENT, MOST, Member

_TURN = 0.02
# Seconds per connection that this worker has more than another one, and at most: the other may be stuck.
_COURTESY, _MOST_COURTESY = 0.002, 0.02


class Counts:
    """How many connections each worker has: a table in memory that all of them share."""

    def __init__(self, descriptor: int, worker: int) -> None:
        self._table = memoryview(mmap.mmap(descriptor, MOST * 4)).cast("I")
        self._own = worker - 1

    def publish(self, connections: int) -> None:
        """Tell the others."""
        self._table[self._own] = connections

    def withdraw(self) -> None:
        """Tell the others not to count on this one."""
        self._table[self._own] = ABSENT

    def ahead(self) -> int:
        """How many connections this one has more than the worker with the fewest."""
        return self._table[self._own] - min(self._table)


class _Connections(set[Any]):
    """uvicorn's set of open connections, whose size the other workers see."""

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self._counts = counts
        counts.publish(0)

    def add(self, connection: Any) -> None:
        super().add(connection)
        self._counts.publish(len(self))

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self._counts.publish(len(self))


class Shared:
    """What `loop.create_server` would give, for a socket on which others listen too."""

    def __init__(self, listening: socket.socket, protocol: Callable[[], asyncio.Protocol], counts: Counts) -> None:
        self._listening = listening
        self._protocol = protocol
        self._counts = counts
        self._loop = asyncio.get_running_loop()
        self._accepting: asyncio.Task[None] | None = None
        self._open = True
        listening.setblocking(False)
        self._watch()

    def close(self) -> None:
        """Accept no more; what waits in the queue is for the others."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._listening)
            self._counts.withdraw()

    async def wait_closed(self) -> None:
        """Nothing to wait for: connections are the server's."""

    def _watch(self) -> None:
        self._loop.add_reader(self._listening, self._readable)

    def _readable(self) -> None:
        self._loop.remove_reader(self._listening)
        self._accepting = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        try:
            while self._open:
                ahead = self._counts.ahead()
                if ahead > 0:
                    await asyncio.sleep(min(ahead * _COURTESY, _MOST_COURTESY))
                accepted, _ = self._listening.accept()
                accepted.setblocking(False)
                await self._loop.connect_accepted_socket(self._protocol, accepted)
        except (BlockingIOError, ConnectionError):
            # Somebody else was faster, or the client has gone.
            pass
        finally:
            if self._open:
                self._watch()


def share_connections(server: Any, member: Member) -> None:
    """Make a uvicorn server class accept on its socket as one of several workers, once all of them have started.

    Requests that arrive before that wait at the socket.
    """
    startup = server.startup

    async def shared(self: Any, sockets: Any) -> None:
        await startup(self, sockets=[])
        counts = Counts(member.counts, member.worker)
        self.server_state.connections = _Connections(counts)
        member.has_started()
        while not (member.all_have_started() or self.should_exit):
            await asyncio.sleep(_TURN)

        def protocol() -> Any:
            kind = self.config.http_protocol_class
            return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        self.servers = [Shared(listening, protocol, counts) for listening in sockets]

    server.startup = shared
