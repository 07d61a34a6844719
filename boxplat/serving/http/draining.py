"""Ending a uvicorn server so that no request fails: nothing new is accepted, and what is accepted is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection
from typing import Any

UNREAD_SECONDS = 2.0
IDLE_SECONDS = 0.5
_TURN = 0.02
CLOSE = (b"connection", b"close")


def read_before_closing(server: Any) -> None:
    """Make a uvicorn server class part with its connections one answer at a time before it closes those that are left.

    By itself it closes every connection that has no request under way at that very moment, also one whose request is
    still on its way, and the client sees a reset. Here each connection first gets the chance to send one more request,
    whose answer tells it to close; the application's `part`, where it has one, does the same elsewhere. Connections
    that nobody has accepted yet wait at the supervisor's socket for the next worker.
    """
    shutdown = server.shutdown

    async def patient(self: Any, sockets: Any = None) -> None:
        for listener in self.servers:
            listener.close()
        part = getattr(self.config.app, "part", None)
        if part is not None:
            part()
        headers = [*self.server_state.default_headers, CLOSE]
        self.server_state.default_headers = headers
        for connection in self.server_state.connections:
            if getattr(connection, "cycle", None) is not None:
                # An answer that has not begun yet.
                connection.cycle.default_headers = headers
        await parted(self.server_state.connections)
        await shutdown(self, sockets)

    server.shutdown = patient


async def parted(connections: Collection[Any]) -> None:
    """Until every accepted connection has closed; those that send nothing are not waited for long.

    A connection that has had a request before is given up after `IDLE_SECONDS` without one, a connection that never
    sent any after `UNREAD_SECONDS`: its client may just have opened it.
    """
    began = time.monotonic()
    # At least two turns of the loop: a connection that was just accepted is not among them yet.
    await asyncio.sleep(_TURN)
    while any(_awaited(one, time.monotonic() - began) for one in connections):
        await asyncio.sleep(_TURN)


def _awaited(connection: Any, waited: float) -> bool:
    """Whether a request may still be on its way; one that is here already is waited for by `Server.shutdown`."""
    cycle = getattr(connection, "cycle", connection)
    if cycle is None and not getattr(connection, "answered", False):
        return waited < UNREAD_SECONDS
    if getattr(cycle, "response_complete", True):
        return waited < IDLE_SECONDS
    return False
