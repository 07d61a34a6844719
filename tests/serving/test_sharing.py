"""What workers share besides the queue of connections: waiting when nothing can be accepted, and the gRPC port."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.serving import worker
from boxplat.serving.settings import Settings
from boxplat.serving.team.ports import reserved
from boxplat.serving.team.sharing import Counts, Shared, _Connections
from boxplat.serving.team.table import Table
from boxplat.supervisor.sockets import free_port


class _Told(logging.Handler):
    """How often it was said that nothing can be accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.first = asyncio.Event()
        self.times = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.times += 1
        self.first.set()


@contextlib.contextmanager
def no_descriptors() -> Iterator[None]:
    """This process may open nothing; what earlier tests have left is not finalized meanwhile."""
    gc.collect()
    gc.disable()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        gc.enable()


async def accepted_later(busy: int) -> tuple[int, float]:
    """A connection comes while there are no descriptors; how often that was told, and for how long it was so."""
    counts, told = Counts(Table(Table.made()), 1, 2), _Told()
    connections = _Connections(counts)
    connections.coming = busy
    connections.publish()
    made = asyncio.get_running_loop().create_future()

    class Protocol(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.set_result(None)
            transport.close()

    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        shared = Shared(listening, Protocol, counts, connections)
        logging.getLogger("bentoml.serve").addHandler(told)
        try:
            with no_descriptors():
                began = time.monotonic()
                client.connect(listening.getsockname())
                await asyncio.wait_for(told.first.wait(), 60)
                for _ in range(100):
                    await asyncio.sleep(0)
            seconds = time.monotonic() - began
            await asyncio.wait_for(made, 60)
        finally:
            logging.getLogger("bentoml.serve").removeHandler(told)
            shared.close()
    return told.times, seconds


@pytest.mark.parametrize("busy", [0, 4], ids=["at once", "after a courtesy"])
def test_without_descriptors_a_connection_waits(busy: int) -> None:
    """Neither is the loop kept busy, nor does the worker stop to accept."""
    times, seconds = asyncio.run(accepted_later(busy))
    # It looks again each second, which this process may have been held up for.
    assert 1 <= times <= 1 + seconds // 1


def test_a_reserved_port_is_its_workers_alone() -> None:
    with reserved(0) as held:
        port = held.getsockname()[1]
        for _ in range(2):
            with pytest.raises(OSError, match="in use"):
                reserved(port)
        assert free_port(port) != port
        with socket.socket() as one, socket.socket() as two:
            for listening in (one, two):
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                listening.bind(("127.0.0.1", port))
                listening.listen()
            held.close()
            with pytest.raises(OSError, match="in use"):
                reserved(port)
    reserved(port).close()


def test_several_workers_do_not_start_on_a_taken_grpc_port(tmp_path: Path) -> None:
    """Not even on one that is shared: by another service's workers."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = Settings(workers=2, grpc_port=other.getsockname()[1])
        with pytest.raises(SystemExit, match=r"gRPC port .* cannot be had: Address already in use"):
            worker._become_parent([], settings, 0, tmp_path)


def test_no_more_workers_than_can_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "usable_cores", lambda: 384)
    assert worker.with_workers(Settings(), {"workers": "cpu_count"}).workers == 255
