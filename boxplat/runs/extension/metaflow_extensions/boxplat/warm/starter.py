"""Making a scheduler's server of warm tasks: a fork of the process that has just loaded the flow."""

import atexit
import contextlib
import gc
import importlib
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

from . import doubts, module_code, preparing, wire
from .client import Client
from .command import command_of
from .ending import Ending
from .server import Server
from .shim import Substitute
from .task import become

write: Callable[[dict[str, Any]], None] = importlib.import_module(
    "metaflow_extensions.boxplat.plugins.spool_writer"
).write

TASKS = frozenset({"step", "spin-step"})
CARDS = frozenset({"card"})
_BEGIN = b"b"


def start(flow: type, frame: FrameType | None) -> Ending | None:
    """Have this scheduler's tasks forked from a copy of it as it is now, where nothing speaks against it.

    Args:
        frame: where the flow is made.

    Returns:
        How this process is to end: the scheduler, or each task, which comes out of this function too. None in a
        scheduler whose tasks start cold.
    """
    try:
        why = doubts.first_doubt() or module_code.doubt() or preparing.missing(flow)
        preparing.find_out()
    except Exception as error:
        # Whatever is odd enough to break a check is a doubt.
        why = f"it is not known whether that is safe: {type(error).__name__}: {error}"
    if why is not None:
        _tell(why)
        return None
    sys.stdout.flush()
    sys.stderr.flush()
    scheduler, orders = socket.socketpair(type=socket.SOCK_SEQPACKET)
    tasks, card_orders = socket.socketpair(type=socket.SOCK_SEQPACKET)
    base = dict(os.environ)
    ending = Ending(frame)
    pid = os.fork()
    if pid == 0:
        scheduler.close()
        _serve(flow, orders, tasks, card_orders, base)
        return ending
    for one in (orders, tasks, card_orders):
        one.close()
    return ending if _use(flow, scheduler, pid, base) else None


def _use(flow: type, control: socket.socket, server: int, base: dict[str, str]) -> bool:
    """Launch this scheduler's tasks by the server from now on, unless it turns out that it must not be."""
    why = doubts.native_threads()
    if why is not None:
        _tell(why)
        control.close()
        os.waitpid(server, 0)
        return False
    control.send(_BEGIN)
    told: set[tuple[str, str]] = set()

    def tell(why: str, argv: Sequence[str]) -> None:
        step = _step(flow, argv)
        if (why, step) not in told:
            told.add((why, step))
            _tell(why, step=step)

    client = Client(control, base, tell)
    importlib.import_module("metaflow.runtime").subprocess = _substitute(flow, client, TASKS)  # type: ignore[attr-defined]
    atexit.register(_leave, control, server, client)
    gc.freeze()
    return True


def _leave(control: socket.socket, server: int, client: Client) -> None:
    """Let the server end, and wait for it unless tasks go on without their scheduler."""
    write({"kind": "launched", "at": time.time(), "warm": client.launched})
    with contextlib.suppress(OSError):
        control.shutdown(socket.SHUT_WR)
        if control.recv(1) != wire.LINGERS:
            os.waitpid(server, 0)


def _serve(
    flow: type, orders: socket.socket, tasks: socket.socket, card_orders: socket.socket, base: dict[str, str]
) -> None:
    """Be the server; returns in every task that it forks."""
    if orders.recv(1) != _BEGIN:
        os._exit(0)
    try:
        _drop_streams()
        preparing.load(flow)
        client = Client(tasks, base, lambda why, argv: _tell(why, step="card"))
        creator: Any = importlib.import_module("metaflow.plugins.cards.card_creator")
        creator.subprocess = _substitute(flow, client, CARDS)
        why = doubts.native_threads()
        if why is not None:
            _tell(why)
            os._exit(0)
        gc.freeze()
        server = os.getpid()
        forward = "BOXPLAT_SPOOL" not in base
        order = Server(orders, card_orders, lambda: preparing.load_for_cards(flow), forward).serve()
    except BaseException:
        write({"kind": "note", "at": time.time(), "text": f"the server of warm tasks: {traceback.format_exc()}"})
        os._exit(1)
    become(order, server, base)


def _drop_streams() -> None:
    """Keep nobody waiting who reads what the scheduler writes."""
    for descriptor, target in list(doubts.open_descriptors()):
        if (descriptor, target) in doubts.INHERITED:
            os.close(descriptor)
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    os.close(null)


def _substitute(flow: type, client: Client, commands: frozenset[str]) -> Any:
    find: Callable[[Sequence[str]], str | None] = lambda words: command_of(flow, words)  # noqa: E731
    return Substitute(client, commands, find)


def _step(flow: type, argv: Sequence[str]) -> str:
    words = list(argv[2:])
    command = command_of(flow, words)
    return words[words.index(command) + 1] if command in words[:-1] else ""


def _tell(why: str, **where: str) -> None:
    write({"kind": "cold", "at": time.time(), "why": why, **where})
