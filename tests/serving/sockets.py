"""Requests as bytes on a socket, for what no HTTP client would send."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

ENDED, OPEN, RESET = b"<ended>", b"<open>", b"<reset>"


def connected(url: str, timeout: float = 30) -> socket.socket:
    """A connection to a server; each `send` is a packet of its own."""
    address = urlsplit(url)
    assert address.hostname and address.port
    made = socket.create_connection((address.hostname, address.port), timeout)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def exchange(url: str, *pieces: bytes, timeout: float = 30, half_closed: bool = False) -> bytes:
    """Send the pieces and read to the end; how the connection ended, or that it did not, is the answer's last word.

    The server has read each piece before the next one is sent: it has answered another connection in between.
    """
    with connected(url, timeout) as made:
        try:
            made.sendall(pieces[0])
            for piece in pieces[1:]:
                # Not one for all: it would be closed as idle if this process were held up.
                with connected(url, timeout) as other:
                    alive(other)
                made.sendall(piece)
            if half_closed:
                made.shutdown(socket.SHUT_WR)
        except OSError:
            return rest(made)
        return rest(made)


def alive(made: socket.socket) -> None:
    """Ask a probe on a connection, and wait for its answer."""
    made.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    found = b""
    while not found.endswith(b"\r\n\r\n\n"):
        part = made.recv(65536)
        assert part, "the server has closed a healthy connection"
        found += part
    assert found.startswith(b"HTTP/1.1 200"), found


def rest(made: socket.socket) -> bytes:
    """What still comes."""
    found = b""
    try:
        while part := made.recv(65536):
            found += part
    except TimeoutError:
        return found + OPEN
    except OSError:
        return found + RESET
    return found + ENDED


def request(
    path: str | bytes = b"/",
    body: bytes = b"",
    heads: Iterable[bytes] = (b"Content-Type: application/json",),
    method: bytes = b"POST",
    close: bool = True,
) -> bytes:
    """A request with a length; the last one of its connection unless `close` is False."""
    target = path if isinstance(path, bytes) else path.encode()
    lines = [method + b" " + target + b" HTTP/1.1", b"Host: x", *heads, b"Content-Length: %d" % len(body)]
    if close:
        lines.append(b"Connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(path: str, *parts: bytes, close: bool = True) -> bytes:
    """A request whose body comes in chunks."""
    last = b"Connection: close\r\n" if close else b""
    head = b"POST " + path.encode() + b" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + last + b"\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def statuses(answers: bytes) -> list[int]:
    """Those of the answers on one connection, in order; 100 Continue included."""
    return [int(part[1:4]) for part in answers.split(b"HTTP/1.1")[1:]]
