"""Listening sockets that are made for children."""

from __future__ import annotations

import socket

import pytest

from boxplat.core.errors import BoxError
from boxplat.core.model import Service
from boxplat.supervisor.sockets import Address, listen


def test_accepted_connections_send_at_once() -> None:
    """A server that inherits the socket as a number (uvicorn) cannot be trusted to switch Nagle's algorithm off."""
    with listen(0) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_taken_grpc_port_is_passed_over_and_the_found_one_kept() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = int(taken.getsockname()[1])
        service, address = Service("toy", ("true",), listen=True, grpc_port=wanted), Address()
        address.open(service)
        found = address.grpc_port
    address.open(service)
    address.close()
    assert found is not None and found > wanted
    assert address.grpc_port == found, "clients know the one that it had"


def test_above_the_last_port_there_is_none() -> None:
    with listen(65535), pytest.raises(BoxError, match="no free port from 65535 to 65535"):
        listen(65535)
