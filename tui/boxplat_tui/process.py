"""One `box` command as a child process in its own process group."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Sequence

from boxplat_tui.lines import LineSplitter

CANCEL_SECONDS = 5.0
_DRAIN_SECONDS = 0.5


async def run(argv: Sequence[str], folder: str, on_line: Callable[[str], None]) -> int:
    """Run `argv` in `folder` and hand each line of its output on as it comes.

    Cancelling this coroutine sends SIGTERM to the whole process group, and SIGKILL to what is left after 5 seconds.

    Returns:
        The exit status; negative where a signal ended it.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    reader, writer = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writer,
            stderr=asyncio.subprocess.STDOUT,
            cwd=folder,
            start_new_session=True,
            env={**environment, "NO_COLOR": "1", "PYTHONUNBUFFERED": "1"},
        )
    except OSError:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    # The pipe is ours and not asyncio's: a daemon that the command leaves behind (`box up --detach`) keeps it open,
    # and asyncio's `wait` would wait for its end too.
    reading = asyncio.create_task(_read(reader, on_line))
    try:
        status = await process.wait()
        await asyncio.wait({reading}, timeout=_DRAIN_SECONDS)
        return status
    finally:
        await _end(process)
        reading.cancel()


async def _read(descriptor: int, on_line: Callable[[str], None]) -> None:
    stream = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(stream)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(descriptor, "rb", 0))
    splitter = LineSplitter()
    try:
        while data := await stream.read(65536):
            for line in splitter.feed(data):
                on_line(line)
        for line in splitter.flush():
            on_line(line)
    finally:
        transport.close()


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), CANCEL_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def output(argv: Sequence[str], folder: str, largest: int) -> tuple[int, bytes, bytes]:
    """Run `argv` in `folder` at low priority and return its status, standard output and standard error.

    Raises:
        OSError: it could not be started, or printed more than `largest` bytes.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = await asyncio.create_subprocess_exec(
        *("nice", *argv) if shutil.which("nice") else argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        start_new_session=True,
        env={**environment, "NO_COLOR": "1"},
    )
    try:
        printed, told = await asyncio.gather(_all(process.stdout, largest), _all(process.stderr, largest))
        return await process.wait(), printed, told
    finally:
        _close(process)
        await _end(process)


def _close(process: asyncio.subprocess.Process) -> None:
    """Read no more of it: asyncio's `wait` would wait for the end of what it printed, also of what nobody reads."""
    transport: asyncio.SubprocessTransport = process._transport  # type: ignore[attr-defined]
    for descriptor in (1, 2):
        if pipe := transport.get_pipe_transport(descriptor):
            pipe.close()


async def _all(stream: asyncio.StreamReader | None, largest: int) -> bytes:
    found = bytearray()
    while stream is not None and (data := await stream.read(65536)):
        found += data
        if len(found) > largest:
            raise OSError(f"it printed more than {largest // 2**20} MiB")
    return bytes(found)
