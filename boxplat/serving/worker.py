"""One BentoML worker on a listening socket made by the supervisor: `python -m boxplat.serving.worker BENTO --fd N`.

It does what `bentoml serve` does around its worker (environment, metrics folder, models, deployment hooks, task store)
and then becomes that worker: the same server and the same answers in one process instead of two, on a socket that
outlives it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from boxplat.serving.settings import Settings, add_flags, from_flags

DRAIN_SECONDS = 5
UNREAD_SECONDS = 2.0
_TURN = 0.02


def main(argv: Sequence[str] | None = None) -> None:
    """Serve a Bento until SIGTERM; requests under way get `DRAIN_SECONDS` to finish."""
    parser = argparse.ArgumentParser(prog="python -m boxplat.serving.worker", description=__doc__)
    parser.add_argument("bento", help="the folder of a built Bento or of a service, or module:Class")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the listening socket")
    add_flags(parser)
    args = parser.parse_args(argv)
    # prometheus_client reads the variable when it is imported, so this comes before BentoML.
    empty_metrics(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    prepare(args.bento)

    import uvicorn
    from _bentoml_impl.worker.service import main as worker  # type: ignore[import-untyped]

    read_before_closing(uvicorn.Server)
    answer_directly(from_flags(args))
    options = ["--fd", str(args.fd), "--worker-id", "1", "--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
    worker.main([args.bento, *options], standalone_mode=False)


def answer_directly(settings: Settings) -> None:
    """Put `Direct` in front of the application that BentoML's worker is about to make."""
    from _bentoml_impl.server.app import ServiceAppFactory  # type: ignore[import-untyped]
    from _bentoml_sdk import Service  # type: ignore[import-untyped]

    from boxplat.serving.direct import Direct

    def to_asgi(service: Any, is_main: bool = True) -> Direct:
        service.inject_config()
        factory = ServiceAppFactory(service, is_main=is_main)
        return Direct(factory, factory(), settings)

    Service.to_asgi = to_asgi


def read_before_closing(server: Any) -> None:
    """Make uvicorn take no new connections for a moment before it closes those that it has.

    By itself it also closes a connection whose request is still on its way, and the client sees a reset. Connections
    that nobody has accepted yet wait at the supervisor's socket for the next worker.
    """
    shutdown = server.shutdown

    async def patient(self: Any, sockets: Any = None) -> None:
        for listener in self.servers:
            listener.close()
        await requests_read(self.server_state.connections)
        await shutdown(self, sockets)

    server.shutdown = patient


async def requests_read(connections: Collection[Any]) -> None:
    """Until every accepted connection has sent a request; a client that only connects is not waited for long."""
    deadline = time.monotonic() + UNREAD_SECONDS
    # At least two turns of the loop: a connection that was just accepted is not among them yet.
    await asyncio.sleep(_TURN)
    while any(getattr(one, "cycle", one) is None for one in connections) and time.monotonic() < deadline:
        await asyncio.sleep(_TURN)


def empty_metrics(folder: Path) -> None:
    """An empty folder for the counters of this process: those of one that is gone must not be added to them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def prepare(target: str) -> None:
    """What `bentoml serve` does once before its workers start."""
    from _bentoml_impl.loader import load  # type: ignore[import-untyped]
    from _bentoml_impl.server.serving import server_on_deployment  # type: ignore[import-untyped]
    from bentoml._internal.bento.bento import Bento

    if (Path(target) / "bento.yaml").is_file():
        # Before the service is imported: its module may read them.
        apply_environment(Bento.from_path(target).info.envs)
    server_on_deployment(load(target))


def apply_environment(declared: Sequence[Any]) -> None:
    """Give the variables that a Bento declares their defaults.

    Raises:
        SystemExit: one of them has neither a value nor a default.
    """
    for variable in declared:
        if variable.stage == "build" or variable.name in os.environ:
            continue
        if not variable.value:
            raise SystemExit(f"the service needs the environment variable {variable.name}: set it in boxplat.toml")
        os.environ[variable.name] = variable.value


if __name__ == "__main__":
    main()
