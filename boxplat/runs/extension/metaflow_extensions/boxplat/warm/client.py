"""Launching warm tasks: what the scheduler, and tasks that have their cards made, know of the server."""

import os
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from . import wire
from .process import WarmProcess

PATIENCE = 20.0


class Client:
    """The way to the server; closed for good after its first failure.

    Args:
        control: the socket that orders go to.
        base: the environment that the server began with.
        tell: takes the reason, and the argument list, of each launch that has to be cold.
    """

    def __init__(
        self, control: socket.socket, base: Mapping[str, str], tell: Callable[[str, Sequence[str]], None]
    ) -> None:
        self._control = control
        self.base = dict(base)
        self.tell = tell
        self.broken = False
        self.launched = 0

    def launch(self, argv: Sequence[str], env: Mapping[str, str], stdin: Any, stdout: Any, stderr: Any) -> WarmProcess:
        """Start a task; streams as in subprocess.Popen.

        Raises:
            OSError: the server did not start it, and never will.
        """
        pipes = Pipes(stdin, stdout, stderr)
        try:
            process = self._order(argv, env, pipes)
        except BaseException:
            pipes.close()
            raise
        self.launched += 1
        return process

    def _order(self, argv: Sequence[str], env: Mapping[str, str], pipes: "Pipes") -> WarmProcess:
        mine, theirs = socket.socketpair()
        request = wire.write_request(wire.Request(list(argv), dict(env), os.getcwd(), _umask()))
        try:
            mine.settimeout(PATIENCE)
            wire.send_order(self._control, wire.Order(theirs.fileno(), request, *pipes.theirs))
            theirs.close()
            pid, pidfd = wire.receive_started(mine)
            mine.send(wire.GO)
        except OSError:
            # Closing the task's socket also ends a task that the server may yet start.
            mine.close()
            theirs.close()
            self.broken = True
            raise
        finally:
            os.close(request)
        mine.settimeout(None)
        return WarmProcess(argv, mine, pid, pidfd, pipes.mine())


class Pipes:
    """The three streams of a task (None, PIPE, DEVNULL, and STDOUT): its ends, and the ends of who starts it."""

    def __init__(self, stdin: Any, stdout: Any, stderr: Any) -> None:
        self._opened: list[int] = []
        self._mine: dict[int, int] = {}
        read = self._end(0, stdin)
        write = self._end(1, stdout)
        self.theirs = (read, write, write if stderr == subprocess.STDOUT else self._end(2, stderr))

    def _end(self, number: int, wanted: Any) -> int:
        if wanted is None:
            return number
        if wanted == subprocess.DEVNULL:
            self._opened.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
        else:
            reader, writer = os.pipe()
            self._mine[number], end = (writer, reader) if number == 0 else (reader, writer)
            self._opened.append(end)
        return self._opened[-1]

    def mine(self) -> tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None]:
        """The starter's ends as files; the task's are closed."""
        self._close_theirs()
        files = {number: os.fdopen(end, "wb" if number == 0 else "rb") for number, end in self._mine.items()}
        return files.get(0), files.get(1), files.get(2)

    def close(self) -> None:
        """Close both ends."""
        self._close_theirs()
        for end in self._mine.values():
            os.close(end)

    def _close_theirs(self) -> None:
        for end in self._opened:
            os.close(end)
        self._opened.clear()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
