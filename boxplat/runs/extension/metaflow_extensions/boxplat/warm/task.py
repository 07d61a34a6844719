"""What a fork does to become a task: what a fresh interpreter would have found and done."""

import ctypes
import io
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from typing import Any

from . import wire

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)
_SEEDED_BELOW = 1 << 32


def become(order: wire.Order, server: int, base: Mapping[str, str]) -> None:
    """Turn this fork into the task that was ordered; does not return if nobody waits for it any more.

    Args:
        server: the server's pid; the task dies with it, and its launcher is then told so.
        base: the environment that the server began with.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        os._exit(0)
    request = wire.read_request(order.request)
    _streams(order, bool(request.env.get("PYTHONUNBUFFERED")))
    _environment(request.env, base)
    os.chdir(request.cwd)
    os.umask(request.umask)
    sys.argv[:] = request.argv[1:]
    sys.orig_argv[:] = request.argv
    _randomness()
    with socket.socket(fileno=order.task) as launcher:
        if launcher.recv(1) != wire.GO:
            os._exit(0)
    os.close(order.request)


def _environment(wanted: Mapping[str, str], base: Mapping[str, str]) -> None:
    for name in base.keys() - wanted.keys():
        os.environ.pop(name, None)
    for name, value in wanted.items():
        if base.get(name) != value:
            os.environ[name] = value
    time.tzset()


def _streams(order: wire.Order, unbuffered: bool) -> None:
    for number, descriptor in enumerate((order.stdin, order.stdout, order.stderr)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        old: Any = getattr(sys, name)
        new = _stream(number, f"<{name}>", old, unbuffered)
        setattr(sys, name, new)
        setattr(sys, f"__{name}__", new)
        if number:
            _rebind(old, new)


def _rebind(old: Any, new: Any) -> None:
    """Somebody may have kept the old stream; it writes to the same descriptor."""
    old.reconfigure(line_buffering=True, write_through=True)
    for reference in logging._handlerList:  # type: ignore[attr-defined]
        handler = reference()
        if isinstance(handler, logging.StreamHandler) and handler.stream is old:
            handler.stream = new


def _stream(number: int, name: str, like: Any, unbuffered: bool) -> Any:
    """A standard stream as the interpreter makes it at its start (create_stdio in CPython's pylifecycle.c)."""
    mode = "w" if number else "r"
    raw: Any = io.FileIO(number, mode, closefd=False)
    raw.name = name
    buffered: Any = io.BufferedReader(raw) if number == 0 else raw if unbuffered else io.BufferedWriter(raw)
    line = not unbuffered and (raw.isatty() or number == 2)
    text: Any = io.TextIOWrapper(
        buffered, like.encoding, like.errors, newline="\n", line_buffering=line, write_through=unbuffered
    )
    text.mode = mode
    return text


def _randomness() -> None:
    """Give the task random numbers of its own where a fresh interpreter has them; what a module seeded stays.

    Python sees to `random` itself after a fork.
    """
    generator: Any = getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)
    # A seed leaves no seed sequence behind.
    if generator is not None and generator._bit_generator._seed_seq is not None:
        generator.seed()
    torch: Any = sys.modules.get("torch")
    # Unseeded it starts from 53 random bits (c10::detail::getNonDeterministicRandom).
    if torch is not None and torch.initial_seed() >= _SEEDED_BELOW:
        torch.default_generator.seed()
