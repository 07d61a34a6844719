"""Listening sockets that outlive the process behind them, and ports for children that bind their own."""

from __future__ import annotations

import errno
import os
import socket

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service
from boxplat.supervisor.waking import waiting

_BACKLOG = 2048
_TRIES = 200
_PORTS = 2**16
_PIDFD_GETFD = 438


class Address:
    """Where a service is reached: its port, and the listening socket where the supervisor holds it."""

    def __init__(self) -> None:
        self.port: int | None = None
        self.grpc_port: int | None = None
        self._socket: socket.socket | None = None
        self._asked: tuple[int, bool, int] | None = None

    @property
    def descriptor(self) -> int:
        """The listening socket's number, for the child; -1 when the child binds by itself."""
        return self._socket.fileno() if self._socket is not None else -1

    def open(self, service: Service) -> int:
        """The port that the service had, else the preferred one, else the next free one above it.

        Raises:
            BoxError: none is free (exit code 4).
        """
        asked = _asked(service)
        if asked != self._asked:
            self.close()
            self.port, self.grpc_port, self._asked = None, None, asked
        preferred = self.port or service.port
        if not service.listen:
            self.port = free_port(preferred)
        elif self._socket is None:
            self._socket = listen(preferred)
            self.port = int(self._socket.getsockname()[1])
        if service.grpc_port:
            # Bound by the process itself, or by several: gRPC cannot listen on a socket made by another one.
            self.grpc_port = free_port(self.grpc_port or max(0, service.grpc_port))
        assert self.port is not None
        return self.port

    def adopt(self, service: Service, pid: int, port: int | None, grpc_port: int | None = None) -> None:
        """Go on with the address of a process that an earlier supervisor started."""
        self.port, self.grpc_port, self._asked = port, grpc_port, _asked(service)
        if service.listen and port:
            self._socket = recover(pid, port)

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits at the socket that is held here."""
        return self._socket is not None and waiting(self._socket.fileno())

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _asked(service: Service) -> tuple[int, bool, int]:
    return service.port, service.listen, service.grpc_port


def listen(preferred: int) -> socket.socket:
    """A listening socket on loopback at the preferred port, or the next free one above it (0: any).

    Raises:
        BoxError: none of the next ports is free (exit code 4).
    """
    end = min(preferred + _TRIES, _PORTS) if preferred else 1
    for port in range(preferred, end):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it. uvicorn takes an inherited socket for a Unix one and does not set it: every request
        # on a kept connection would wait 40 ms for the delayed acknowledgement of the answer's first part.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
        f"no free port from {preferred} to {end - 1} on 127.0.0.1",
        why="every one of them is taken by another process",
        fix="choose another one in boxplat.toml, or see who has them: ss -ltnp",
        code=ExitCode.PRECONDITION,
    )


def free_port(preferred: int) -> int:
    """A port that nobody listens on now, for a child that binds by itself."""
    with listen(preferred) as sock:
        return int(sock.getsockname()[1])


def recover(pid: int, port: int) -> socket.socket | None:
    """A copy of the listening socket that a living process holds, so that it stays open when that process ends.

    Linux only, and only where one process of a user may inspect another (pidfd_getfd(2)); otherwise None, and the port
    is bound anew after the process has gone.
    """
    try:
        process = os.pidfd_open(pid)
    except (AttributeError, OSError):
        return None
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            if os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
                found = _copy(process, int(name), port)
                if found is not None:
                    return found
    except OSError:
        return None
    finally:
        os.close(process)
    return None


def _copy(process: int, number: int, port: int) -> socket.socket | None:
    import ctypes

    copied = ctypes.CDLL(None, use_errno=True).syscall(_PIDFD_GETFD, process, number, 0)
    if copied < 0:
        return None
    sock = socket.socket(fileno=copied)
    try:
        ours = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and sock.getsockname()[1:2] == (port,)
    except OSError:
        ours = False
    if not ours:
        sock.close()
        return None
    sock.set_inheritable(True)
    return sock
