"""What a launcher and the server of warm tasks say to each other.

An order is one message on the server's control socket (SOCK_SEQPACKET) with five descriptors: the task's own socket, a
file in memory with the request as JSON, and the task's stdin, stdout and stderr. On the task's socket (SOCK_STREAM) the
server answers with the pid and a pidfd; the launcher says GO, without which the task ends before it has done
anything; and at the task's end the server sends its exit code. End of file without one: the server is gone.
"""

import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

ORDER = b"o"
GO = b"g"
# The server's last word to a scheduler that leaves: tasks go on without it.
LINGERS = b"l"
_NUMBER = struct.Struct("=i")
_DESCRIPTORS = 5


@dataclass(frozen=True)
class Request:
    """What a task is started with; `umask` and the environment are those of who asks."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    umask: int


@dataclass(frozen=True)
class Order:
    """The descriptors of one order, in the order in which they are sent."""

    task: int
    request: int
    stdin: int
    stdout: int
    stderr: int

    @property
    def descriptors(self) -> tuple[int, ...]:
        return (self.task, self.request, self.stdin, self.stdout, self.stderr)

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def write_request(request: Request) -> int:
    """A descriptor of a file in memory with the request."""
    file = os.memfd_create("boxplat-task", os.MFD_CLOEXEC)
    with open(file, "w", encoding="ascii", closefd=False) as text:
        json.dump(asdict(request), text)
    return file


def read_request(file: int) -> Request:
    """The request in such a file."""
    os.lseek(file, 0, os.SEEK_SET)
    with open(file, encoding="ascii", closefd=False) as text:
        return Request(**json.load(text))


def send_order(control: socket.socket, order: Order) -> None:
    """Ask for a task; OSError when no server listens."""
    socket.send_fds(control, [ORDER], list(order.descriptors))


def receive_order(control: socket.socket) -> Order | None:
    """The next order; None at the end of file. OSError for a message that is none."""
    message, descriptors, _, _ = socket.recv_fds(control, 1, _DESCRIPTORS)
    if not message:
        return None
    if len(descriptors) != _DESCRIPTORS:
        for descriptor in descriptors:
            os.close(descriptor)
        raise OSError("an order without its descriptors")
    return Order(*descriptors)


def send_started(task: socket.socket, pid: int, pidfd: int) -> None:
    """Answer an order; OSError when nobody waits for the answer any more."""
    socket.send_fds(task, [_NUMBER.pack(pid)], [pidfd])


def receive_started(task: socket.socket) -> tuple[int, int]:
    """The pid and pidfd of a task; OSError when the server does not answer."""
    message, descriptors, _, _ = socket.recv_fds(task, _NUMBER.size, 1)
    if len(message) != _NUMBER.size or len(descriptors) != 1:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ConnectionError("the server of warm tasks did not answer")
    return _NUMBER.unpack(message)[0], descriptors[0]


def send_end(task: socket.socket, code: int) -> None:
    """Tell a task's exit code, negative for a signal; OSError when nobody listens."""
    task.send(_NUMBER.pack(code))


def read_end(message: bytes) -> int | None:
    """The exit code in what `send_end` sent; None for less than that."""
    return _NUMBER.unpack(message)[0] if len(message) == _NUMBER.size else None
