"""One listening socket for several workers, each of which takes its fair share of the connections.

All wait on the same queue, so that a connection is never lost with a worker that has not accepted it. By themselves the
first to wake up would accept everything that is there. Here a worker that has more connections than another one leaves
it a moment to be faster.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from boxplat.serving.team.member import Member
from boxplat.serving.team.table import ABSENT, Table

_TURN, _BEAT = 0.02, 1.0
# As asyncio's servers wait when nothing can be accepted.
_PAUSE = 1.0
# Seconds per connection that this worker has more than another one, and at most: the other may be stuck.
_COURTESY, _MOST_COURTESY = 0.002, 0.02


class Counts:
    """How many connections each of the workers has."""

    def __init__(self, table: Table, worker: int, workers: int) -> None:
        self._table = table.connections[:workers]
        self._own = worker - 1

    def publish(self, connections: int) -> None:
        """Tell the others."""
        self._table[self._own] = connections

    def withdraw(self) -> None:
        """Tell the others not to count on this one."""
        self._table[self._own] = ABSENT

    def excess(self) -> int:
        """How many connections this one has more than it should: a quarter above the worker with the fewest is fair."""
        fewest = min(self._table)
        return max(0, self._table[self._own] - fewest - fewest // 4)


class _Connections(set[Any]):
    """uvicorn's set of open connections, whose size the other workers see.

    Attributes:
        coming: accepted, and not in the set yet.
    """

    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.coming = 0
        self._counts = counts
        self.publish()

    def add(self, connection: Any) -> None:
        super().add(connection)
        self.publish()

    def discard(self, connection: Any) -> None:
        super().discard(connection)
        self.publish()

    def publish(self) -> None:
        """Tell the others."""
        self._counts.publish(len(self) + self.coming)


class Shared:
    """What `loop.create_server` would give, for a socket on which others listen too."""

    def __init__(
        self,
        listening: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        counts: Counts,
        connections: _Connections,
    ) -> None:
        self._listening = listening
        self._protocol = protocol
        self._counts = counts
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[None]] = set()
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
        if self._open:
            self._loop.add_reader(self._listening, self._readable)

    def _readable(self) -> None:
        excess = self._counts.excess()
        if not excess:
            self._accept()
            return
        # Others are told of the same connection; whoever is free takes it meanwhile.
        self._loop.remove_reader(self._listening)
        self._loop.call_later(min(excess * _COURTESY, _MOST_COURTESY), self._after_courtesy)

    def _after_courtesy(self) -> None:
        if self._open:
            self._watch()
            self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, ConnectionError):
            # Somebody else was faster, or the client has gone.
            return
        except OSError:
            # No descriptor is left, or no memory: the connection stays in the queue, and would wake us again at once.
            logging.getLogger("bentoml.serve").exception("no connection can be accepted")
            self._loop.remove_reader(self._listening)
            self._loop.call_later(_PAUSE, self._watch)
            return
        accepted.setblocking(False)
        self._connections.coming += 1
        self._connections.publish()
        task = self._loop.create_task(self._opened(accepted))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _opened(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        finally:
            self._connections.coming -= 1
            self._connections.publish()


def _beat(loop: asyncio.AbstractEventLoop, table: Table, worker: int) -> None:
    table.beat(worker)
    loop.call_later(_BEAT, _beat, loop, table, worker)


def share_connections(server: Any, member: Member, workers: int) -> None:
    """Make a uvicorn server class accept on its socket as one of several workers, once all of them have started.

    Requests that arrive before that wait at the socket.
    """
    startup = server.startup

    async def shared(self: Any, sockets: Any) -> None:
        await startup(self, sockets=[])
        table = Table(member.table)
        counts = Counts(table, member.worker, workers)
        _beat(asyncio.get_running_loop(), table, member.worker)
        self.server_state.connections = connections = _Connections(counts)
        member.has_started()
        while not (member.all_have_started() or self.should_exit):
            await asyncio.sleep(_TURN)

        def protocol() -> Any:
            kind = self.config.http_protocol_class
            return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        self.servers = [Shared(listening, protocol, counts, connections) for listening in sockets]

    server.startup = shared
