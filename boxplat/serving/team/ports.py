"""A port that several workers bind for themselves, and nobody else."""

from __future__ import annotations

import socket


def reserved(port: int) -> socket.socket:
    """What keeps a port on 127.0.0.1 for those of this user who bind it with SO_REUSEPORT, until it is closed.

    It does not listen, so that no connection comes to it.

    Raises:
        OSError: somebody has the port.
    """
    held = socket.socket()
    try:
        # Connections of a server that has just ended are in nobody's way.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", port))
        # Only now: bound so, it would share the port with another service's workers instead of being refused.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        held.close()
        raise
    return held
