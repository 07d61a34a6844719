"""A pytest plug-in: where BentoML's own tests start its server, boxplat's worker is started instead.

No test of theirs is changed. For `scripts/bentoml_suite`.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import psutil


class Worker:
    """What `bentoml.serve` gives: a server with a URL, stopped by `stop` or at the end of a `with`."""

    def __init__(self, target: str, folder: str, port: int) -> None:
        with socket.socket() as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen(256)
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            argv = [sys.executable, "-m", "boxplat.serving.worker", target, "--fd", str(listening.fileno())]
            self.process = subprocess.Popen(argv, cwd=folder, pass_fds=[listening.fileno()])

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """As the supervisor does it, its processes included."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.terminate()
        self.process.wait(30)
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()


def serve_http(bento_identifier: Any, working_dir: str | None = None, port: int = 0, **_: object) -> Worker:
    """In the place of BentoML's function of this name."""
    from _bentoml_impl.loader import load  # type: ignore[import-untyped]

    # What is only a folder or a tag for `bentoml serve` is a path for the worker.
    target = bento_identifier
    service = load(target, working_dir=working_dir) if isinstance(target, str) else target
    folder = service.bento.path if service.bento else os.path.abspath(working_dir or service.working_dir)
    return Worker(folder if service.bento else service.import_string, folder, port)


@contextlib.contextmanager
def run_standalone(bento: str, timeout: float = 90, **_: object) -> Iterator[str]:
    """In the place of `bentoml.testing.server.run_bento_server_standalone`."""
    import asyncio

    from bentoml.testing.server import server_warmup

    with Worker(bento, bento, 0) as worker:
        address = worker.url.removeprefix("http://")
        assert asyncio.run(server_warmup(address, timeout=timeout, popen=worker.process))
        yield address


def pytest_configure() -> None:
    """Put these in their places, unless BentoML's own server is asked for."""
    if os.environ.get("BOX_SUITE_STOCK"):
        return
    import _bentoml_impl.server.serving  # type: ignore[import-untyped]
    import bentoml.testing.server

    from boxplat.serving.settings import Settings
    from boxplat.serving.worker import answer_directly

    _bentoml_impl.server.serving.serve_http = serve_http
    bentoml.testing.server.run_bento_server_standalone = run_standalone  # type: ignore[assignment]
    answer_directly(Settings(workers=1))
