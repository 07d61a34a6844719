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
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from boxplat.export.verify.storage import free_ports

# As of Debian, which keeps its programs away from PATH.
PLACES = "/usr/lib/postgresql"
_PR_SET_PDEATHSIG = 1


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
        with self.connect() as connection:
            connection.execute(f'create database "{database}" template "{like}"'.encode())
        return self.address(database)


@contextlib.contextmanager
def serve() -> Iterator[Postgres]:
    """A server that ends with the block. It refuses to be root, and is somebody else then."""
    root = os.geteuid() == 0
    user = pwd.getpwnam("nobody") if root else pwd.getpwuid(os.geteuid())
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    port, password = free_ports(1)[0], secrets.token_hex(16)
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
        settings = ("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off")
        command = [program("postgres"), "-D", str(data), *(f"-c{one}" for one in settings)]
        with _running(command, folder, other):
            yield Postgres(port, password)
    finally:
        # Thousands of small files: nobody waits for it.
        subprocess.Popen(["rm", "-rf", str(folder)], start_new_session=True)


@contextlib.contextmanager
def _running(command: list[str | None], folder: Path, other: dict[str, Any]) -> Iterator[None]:
    """The server until the block ends, or this process does, however that happens."""
    libc, ready, said = ctypes.CDLL(None), threading.Event(), list[str]()
    child = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT),
        **other,
    )

    def listen() -> None:
        for line in child.stderr or ():
            said.append(line)
            if "ready to accept connections" in line:
                ready.set()
        ready.set()

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        assert ready.wait(60) and child.poll() is None, "".join(said)
        yield
    finally:
        child.send_signal(signal.SIGQUIT)
        child.wait()
        listener.join()
