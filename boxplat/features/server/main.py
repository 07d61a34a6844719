"""The feature server as a process: `python -m boxplat.features.server.main REPOSITORY --fd N` (or `--port N`)."""

from __future__ import annotations

import argparse
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode

GRACE_SECONDS = 5
KEEP_ALIVE_SECONDS = 75


def main(argv: Sequence[str] | None = None) -> None:
    """Serve a feature repository on loopback until SIGTERM; requests under way get `GRACE_SECONDS` to finish."""
    parser = argparse.ArgumentParser(prog="python -m boxplat.features.server.main", description=__doc__)
    parser.add_argument("repository", type=Path, help="folder with feature_store.yaml")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--fd", type=int, help="descriptor of the listening socket")
    where.add_argument("--port", type=int, help="port on 127.0.0.1")
    args = parser.parse_args(argv)
    try:
        listening = _listening(args.fd, args.port)
        _serve(_repository(args.repository), listening)
    except BoxError as error:
        print(error, file=sys.stderr)
        raise SystemExit(int(error.code)) from None


def _serve(repository: Path, listening: socket.socket) -> None:
    # NumPy's arithmetic here is a few values a request: threads of its own only cost memory.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    import uvicorn

    from boxplat.features.server.connection import ReadConnection
    from boxplat.features.server.routes import application
    from boxplat.serving.http.draining import read_before_closing

    # What a request makes is gone with it; what is there by now stays. So: few collections, and small ones.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    read_before_closing(uvicorn.Server)
    config = uvicorn.Config(
        application(repository),
        loop="uvloop",
        http=ReadConnection,
        ws="none",
        interface="asgi3",
        access_log=False,
        log_level="warning",
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listening(descriptor: int | None, port: int | None) -> socket.socket:
    """The listening socket. uvicorn would take a descriptor for a Unix socket, which has no TCP_NODELAY."""
    if descriptor is not None:
        return socket.socket(fileno=descriptor)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind(("127.0.0.1", port or 0))
    # A number that is no port is an OverflowError.
    except (OSError, OverflowError) as error:
        raise BoxError(
            f"the feature server cannot listen on port {port}",
            why=str(error),
            fix=f"ss -ltnp 'sport = :{port}' shows who does; or give another --port",
            code=ExitCode.PRECONDITION,
        ) from error
    return made


def _repository(folder: Path) -> Path:
    """The folder, resolved. What it declares may come later; a name that is mistyped will not."""
    if not folder.is_dir():
        raise BoxError(
            f"no Feast repository at {folder}",
            why="there is no such folder",
            fix="give the folder that holds feature_store.yaml",
            code=ExitCode.NOT_FOUND,
        )
    return folder.resolve()


if __name__ == "__main__":
    main()
