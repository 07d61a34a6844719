"""Listening sockets that outlive the process behind them, and ports for children that bind their own."""

from __future__ import annotations

import errno
import socket

from boxplat.core.errors import BoxError, ExitCode

_BACKLOG = 2048
_TRIES = 200


def listen(preferred: int) -> socket.socket:
    """A listening socket on loopback at the preferred port, or the next free one above it (0: any).

    Raises:
        BoxError: none of the next ports is free (exit code 4).
    """
    for port in range(preferred, preferred + (_TRIES if preferred else 1)):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
            sock.listen(_BACKLOG)
        except OSError as error:
            sock.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        sock.set_inheritable(True)
        return sock
    raise BoxError(
        f"no free port from {preferred} to {preferred + _TRIES - 1} on 127.0.0.1",
        why="every one of them is taken by another process",
        fix="choose another one in boxplat.toml, or see who has them: ss -ltnp",
        code=ExitCode.PRECONDITION,
    )


def free_port(preferred: int) -> int:
    """A port that nobody listens on now, for a child that binds by itself."""
    with listen(preferred) as sock:
        return int(sock.getsockname()[1])
