"""One BentoML worker on a listening socket made by the supervisor: `python -m boxplat.serving.worker BENTO --fd N`.

In a container nobody passes a socket: there `--host 0.0.0.0 --port N` makes one.

It does what `bentoml serve` does around its worker (environment, metrics folder, models, deployment hooks, task store)
and then becomes that worker: the same server and the same answers in one process instead of two, on a socket that
outlives it. With `--workers` above 1 it becomes the parent of so many workers instead.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from boxplat.core.paths import BENTO_FACTS
from boxplat.serving.deferring import import_bentoml
from boxplat.serving.settings import Settings, add_flags, from_flags
from boxplat.serving.team.cores import usable_cores
from boxplat.serving.team.member import Member
from boxplat.serving.team.ports import listening, reserved
from boxplat.serving.team.table import MOST

DRAIN_SECONDS = 5
# For a worker, with what it waits for requests on their way; below what the supervisor gives the whole.
_STOP_SECONDS = DRAIN_SECONDS + 2.5
_PREPARE = "--prepare-only"


def main(argv: Sequence[str] | None = None) -> None:
    """Serve a Bento until SIGTERM; requests under way get `DRAIN_SECONDS` to finish."""
    argv = sys.argv[1:] if argv is None else argv
    args = _parsed(argv)
    if args.prepare_only:
        prepare(args.bento)
        return
    if args.fd is None:
        args.fd = _listening(args.host, args.port)
        argv = [*argv, "--fd", str(args.fd)]
    member: Member | None = args.member
    noted = facts(args.bento)
    settings = with_workers(from_flags(args), noted)
    metrics = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    if member is None:
        # prometheus_client reads the folder when it is imported, so this comes before BentoML.
        empty_metrics(metrics)
        assign_devices(noted)
        if settings.workers > 1:
            if noted.get("prepares", True):
                _prepare_once(argv)
            _become_parent(argv, settings, args.fd, metrics)
    else:
        member.die_with_parent()
        settings = replace(settings, worker=member.worker)
    serve(args.bento, args.fd, settings, member)


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m boxplat.serving.worker", description=__doc__)
    parser.add_argument("bento", help="the folder of a built Bento or of a service, or module:Class")
    parser.add_argument("--fd", type=int, help="descriptor of the listening socket")
    parser.add_argument("--port", type=int, help="where to listen, at the address --host, if no socket is passed")
    parser.add_argument("--member", type=Member.of, default=None, help=argparse.SUPPRESS)
    parser.add_argument(_PREPARE, action="store_true", help=argparse.SUPPRESS)
    add_flags(parser)
    args = parser.parse_args(argv)
    if args.fd is None and args.port is None:
        parser.error("one of --fd and --port is needed")
    return args


def _listening(host: str, port: int) -> int:
    try:
        return listening(host, port).detach()
    except OSError as error:
        raise SystemExit(f"cannot listen at {host}:{port}: {error.strerror}") from None


def with_workers(settings: Settings, noted: Mapping[str, Any]) -> Settings:
    """The settings with their number of workers: what they say, else what the service says, else one."""
    wanted: object = settings.workers or noted.get("workers", 1)
    count = usable_cores() if wanted == "cpu_count" else int(str(wanted))
    return replace(settings, workers=min(count, MOST))


def assign_devices(noted: Mapping[str, Any]) -> None:
    """Show a service that asks for GPUs the first so many, as BentoML's allocator does, unless somebody has chosen."""
    count = math.ceil(noted.get("gpu") or 0)
    chosen = {"CUDA_VISIBLE_DEVICES", "BENTOML_DISABLE_GPU_ALLOCATION"} & os.environ.keys()
    if count and noted.get("workers") != "cpu_count" and not chosen:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, range(count)))


def facts(bento: str) -> dict[str, Any]:
    """What the build noted about a Bento; nothing for a service that was not built here."""
    path = Path(bento) / BENTO_FACTS
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def _prepare_once(argv: Sequence[str]) -> None:
    """In a process of its own: this one stays small, and a worker that is started anew must not do it again."""
    import subprocess

    status = subprocess.call([sys.executable, "-m", "boxplat.serving.worker", *argv, _PREPARE])
    if status:
        raise SystemExit(status)


def _become_parent(argv: Sequence[str], settings: Settings, listening: int, metrics: Path) -> None:
    """Run the workers, then end as they were told to."""
    from boxplat.serving.team.workers import Workers

    def command(member: Member) -> list[str]:
        return [sys.executable, "-m", "boxplat.serving.worker", *argv, "--member", member.flag()]

    try:
        held = reserved(settings.grpc_port, settings.host) if settings.grpc_port else nullcontext()
    except OSError as error:
        raise SystemExit(f"the gRPC port {settings.grpc_port} cannot be had: {error.strerror}") from None
    with held:
        status = Workers(command, settings.workers, listening, metrics, _STOP_SECONDS).run()
    if status:
        raise SystemExit(status)
    # As uvicorn ends: whoever waits for us sees that it was the signal.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def serve(bento: str, listening: int, settings: Settings, member: Member | None) -> None:
    """Be a worker."""
    if member is None:
        prepare(bento)
    else:
        declare_environment(bento)
        import_bentoml()

    import uvicorn
    from _bentoml_impl.worker.service import main as worker  # type: ignore[import-untyped]

    from boxplat.serving.http.draining import read_before_closing
    from boxplat.serving.team.sharing import share_connections

    read_before_closing(uvicorn.Server)
    if member is not None:
        share_connections(uvicorn.Server, member, settings.workers)
    answer_directly(settings)
    options = ["--fd", str(listening), "--worker-id", str(settings.worker)]
    options += ["--timeout-graceful-shutdown", str(DRAIN_SECONDS), "--timeout-keep-alive", str(settings.keep_alive)]
    worker.main([bento, *options], standalone_mode=False)


def answer_directly(settings: Settings) -> None:
    """Put `Direct` in front of the application that BentoML's worker is about to make."""
    from _bentoml_impl.server.app import ServiceAppFactory  # type: ignore[import-untyped]
    from _bentoml_sdk import Service  # type: ignore[import-untyped]
    from uvicorn.config import HTTP_PROTOCOLS

    from boxplat.serving.dependencies import started_with_service
    from boxplat.serving.direct import Direct

    def to_asgi(service: Any, is_main: bool = True) -> Direct:
        # BentoML divides `max_concurrency` by them.
        service.config["workers"] = settings.workers
        service.inject_config()
        factory = ServiceAppFactory(service, is_main=is_main)
        if service.dependencies:
            started_with_service(factory, settings.waiting)
        return Direct(factory, factory(), settings)

    Service.to_asgi = to_asgi
    # BentoML's worker does not say which protocol class uvicorn takes.
    HTTP_PROTOCOLS["auto"] = "boxplat.serving.http.shortcut:Shortcut"


def empty_metrics(folder: Path) -> None:
    """An empty folder for the counters of this process: those of one that is gone must not be added to them."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.glob("*.db"):
        file.unlink(missing_ok=True)


def prepare(target: str) -> None:
    """What `bentoml serve` does once before its workers start."""
    # Before the service is imported: its module may read them.
    declare_environment(target)
    import_bentoml()
    from _bentoml_impl.loader import load  # type: ignore[import-untyped]
    from _bentoml_impl.server.serving import server_on_deployment  # type: ignore[import-untyped]

    for service in load(target).all_services(exclude_urls=True).values():
        server_on_deployment(service)


def declare_environment(target: str) -> None:
    """Set the variables that a Bento declares and nobody has set."""
    from bentoml._internal.bento.bento import Bento

    if (Path(target) / "bento.yaml").is_file():
        apply_environment(Bento.from_path(target).info.envs)


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
