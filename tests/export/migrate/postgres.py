"""A real PostgreSQL server on loopback for tests."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from boxplat.export.verify.storage import free_ports

# As of Debian, which keeps its programs away from PATH.
PLACES = "/usr/lib/postgresql"
_PR_SET_PDEATHSIG = 1
_READY = "ready to accept connections"


def program(name: str) -> str | None:
    """A program of PostgreSQL's, if it is installed."""
    found = shutil.which(name)
    beside = sorted(Path(PLACES).glob(f"*/bin/{name}"))
    return found or (str(beside[-1]) if beside else None)


@dataclass(frozen=True)
class Postgres:
    """A running server; every test makes databases of its own."""

    port: int
    password: str

    def address(self, database: str) -> str:
        return f"postgresql://box:{self.password}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(self.address(database), autocommit=True)

    def make(self, database: str, like: str = "template1") -> str:
        """A new database, a copy of another; returns its address."""
        deadline = time.monotonic() + 60
        with self.connect() as connection:
            while True:
                try:
                    connection.execute(f'create database "{database}" template "{like}"'.encode())
                    return self.address(database)
                except psycopg.errors.ObjectInUse:
                    # The server has not noticed yet that whoever used the other one has gone.
                    assert time.monotonic() < deadline


@contextlib.contextmanager
def serve() -> Iterator[Postgres]:
    """A server that ends with the block. It refuses to be root, and is somebody else then."""
    root = os.geteuid() == 0
    user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    password = secrets.token_hex(16)
    other: dict[str, Any] = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if root else {}
    try:
        secret = folder / "password"
        secret.write_text(password)
        for path in (folder, secret):
            os.chown(path, user.pw_uid, user.pw_gid)
        data = folder / "data"
        how = ["--auth=scram-sha-256", f"--pwfile={secret}", "--username=box", "--encoding=UTF8", "--locale=C.UTF-8"]
        command = [program("initdb"), f"--pgdata={data}", "--no-sync", *how]
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **other)
        settings = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off")
        command = [program("postgres"), "-D", str(data), *(f"-c{one}" for one in settings)]
        with _running(command, folder, other) as port:
            yield Postgres(port, password)
    finally:
        # Thousands of small files: nobody waits for it.
        subprocess.Popen(["rm", "-rf", str(folder)], start_new_session=True)


@contextlib.contextmanager
def _running(command: list[str | None], folder: Path, other: dict[str, Any]) -> Iterator[int]:
    """The server, until the block ends, or this process does, however that happens; gives its port."""
    libc = ctypes.CDLL(None)
    for attempt in range(3):
        port, ready, said = free_ports(1)[0], threading.Event(), list[str]()
        child = subprocess.Popen(
            [*command, f"-cport={port}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),
            **other,
        )
        listener = threading.Thread(target=_listen, args=(child, said, ready), daemon=True)
        listener.start()
        try:
            assert ready.wait(180), "".join(said)
            if any(_READY in line for line in said):
                yield port
                return
            # Somebody else may have taken the port before it was used.
            assert attempt < 2, "".join(said)
        finally:
            child.send_signal(signal.SIGQUIT)
            child.wait()
            listener.join()


def _listen(child: subprocess.Popen[str], said: list[str], ready: threading.Event) -> None:
    for line in child.stderr or ():
        said.append(line)
        if _READY in line:
            ready.set()
    ready.set()
