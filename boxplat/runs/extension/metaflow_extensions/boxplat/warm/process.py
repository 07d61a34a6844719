"""A warm task as its launcher sees it: what Metaflow uses of subprocess.Popen."""

import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import IO

from . import wire

# A task whose end nobody could tell died with its server, which takes its tasks along by SIGKILL.
LOST = -signal.SIGKILL


class WarmProcess:
    """A forked task; attributes and methods mean what they mean in subprocess.Popen."""

    def __init__(
        self,
        args: Sequence[str],
        task: socket.socket,
        pid: int,
        pidfd: int,
        streams: tuple[IO[bytes] | None, IO[bytes] | None, IO[bytes] | None],
    ) -> None:
        self.args = args
        self.pid = pid
        self.returncode: int | None = None
        self.stdin, self.stdout, self.stderr = streams
        self._task = task
        self._pidfd = pidfd
        self._lock = threading.RLock()

    def poll(self) -> int | None:
        """The exit code, or None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Block until it is over; subprocess.TimeoutExpired after `timeout` seconds."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            code = self._look(left)
            if code is not None:
                return code
            if left == 0.0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)

    def send_signal(self, number: int) -> None:
        """Signal the task; nothing once it is over."""
        with self._lock:
            if self.returncode is None:
                try:
                    signal.pidfd_send_signal(self._pidfd, number)
                except ProcessLookupError:
                    return

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, patience: float | None) -> int | None:
        """The exit code, after at most `patience` seconds (None: however long it takes)."""
        if self.returncode is None and readable(self._task, patience):
            with self._lock:
                if self.returncode is None:
                    self._end()
        return self.returncode

    def _end(self) -> None:
        try:
            message = self._task.recv(16)
        except OSError:
            message = b""
        code = wire.read_end(message)
        self.returncode = LOST if code is None else code
        self._task.close()
        os.close(self._pidfd)


def readable(one: socket.socket | IO[bytes], patience: float | None) -> bool:
    """Whether there is something to read, or the end of file, within `patience` seconds (None: for ever)."""
    poller = select.poll()
    poller.register(one, select.POLLIN)
    return bool(poller.poll(None if patience is None else patience * 1000))
