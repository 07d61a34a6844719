"""Listening sockets that are made for children."""

from __future__ import annotations

import socket

from boxplat.supervisor.sockets import listen


def test_accepted_connections_send_at_once() -> None:
    """A server that inherits the socket as a number (uvicorn) cannot be trusted to switch Nagle's algorithm off."""
    with listen(0) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
