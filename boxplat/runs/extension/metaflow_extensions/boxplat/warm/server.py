"""The server of warm tasks: one thread that forks a task for every order, and tells how each ended."""

import contextlib
import gc
import os
import select
import signal
import socket
from collections.abc import Callable

from . import wire

# What the server must not do as the scheduler or the flow's module would; a task gets their handlers back.
_OWN_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)


class Server:
    """Forks tasks until the scheduler is gone and the last task has ended.

    Args:
        scheduler: the scheduler's orders; its end of file is the scheduler's end.
        tasks: the orders of tasks, for their cards.
        before_cards: called once, before the first of those.
        forward: whether a SIGTERM to the server is for its tasks too.
    """

    def __init__(
        self, scheduler: socket.socket, tasks: socket.socket, before_cards: Callable[[], None], forward: bool
    ) -> None:
        self._control = {scheduler.fileno(): scheduler, tasks.fileno(): tasks}
        self._scheduler = scheduler
        self._before_cards: Callable[[], None] | None = before_cards
        self._forward = forward
        self._running: dict[int, tuple[int, socket.socket]] = {}
        self._poll = select.poll()
        self._leaving = False
        self._terminated, self._terminate = os.pipe()
        self._handlers = {number: signal.getsignal(number) for number in _OWN_SIGNALS}

    def serve(self) -> wire.Order:
        """Returns in every task, with its order; in the server itself never."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, lambda *_: os.write(self._terminate, b"t"))
        for descriptor in (*self._control, self._terminated):
            self._poll.register(descriptor, select.POLLIN)
        while self._running or not self._leaving:
            for descriptor, _ in self._poll.poll():
                order = self._look(descriptor)
                if order is not None:
                    return order
        os._exit(0)

    def _look(self, descriptor: int) -> wire.Order | None:
        """See to a descriptor that is ready; an order in the task that was forked for it."""
        if descriptor in self._running:
            self._ended(descriptor)
        elif descriptor in self._control:
            return self._take(self._control[descriptor])
        elif descriptor == self._terminated:
            self._stop()
        return None

    def _take(self, control: socket.socket) -> wire.Order | None:
        try:
            order = wire.receive_order(control)
        except OSError:
            return None
        if order is None:
            self._leave(control)
            return None
        if control is not self._scheduler and self._before_cards is not None:
            self._before_cards()
            self._before_cards = None
            gc.freeze()
        try:
            pid = os.fork()
        except OSError:
            order.close()
            return None
        if pid == 0:
            self._become_task()
            return order
        self._started(order, pid)
        return None

    def _started(self, order: wire.Order, pid: int) -> None:
        task = socket.socket(fileno=os.dup(order.task))
        os.set_inheritable(task.fileno(), False)
        order.close()
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = (pid, task)
        self._poll.register(pidfd, select.POLLIN)
        try:
            wire.send_started(task, pid, pidfd)
        except OSError:
            # Whoever asked has given up; the task has not begun, for it was not told to go.
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)

    def _ended(self, pidfd: int) -> None:
        pid, task = self._running.pop(pidfd)
        self._poll.unregister(pidfd)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # The scheduler may be gone.
        with contextlib.suppress(OSError):
            wire.send_end(task, code)
        task.close()
        os.close(pidfd)

    def _leave(self, control: socket.socket) -> None:
        """The other end of a control socket is closed."""
        self._poll.unregister(control.fileno())
        if control is self._scheduler:
            self._leaving = True
            if self._running:
                with contextlib.suppress(OSError):
                    control.send(wire.LINGERS)
        del self._control[control.fileno()]
        control.close()

    def _stop(self) -> None:
        """Take no more orders; the server ends with its last task."""
        os.read(self._terminated, 16)
        for pidfd in self._running if self._forward else ():
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        self._leaving = True
        for control in list(self._control.values()):
            self._leave(control)

    def _become_task(self) -> None:
        for pidfd, (_, task) in self._running.items():
            os.close(pidfd)
            task.close()
        for control in self._control.values():
            control.close()
        os.close(self._terminated)
        os.close(self._terminate)
        for number, handler in self._handlers.items():
            # None: installed by something that is not Python, and never by a module of a flow.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
