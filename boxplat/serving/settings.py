"""What one worker of an endpoint is told: the keys of `[endpoints.NAME]` as flags of its process."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.config import EndpointConfig

_DEFAULT = EndpointConfig()


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a worker; what they mean is said at `EndpointConfig`.

    Attributes:
        workers: processes of the endpoint; 0: as many as its service says.
        worker: number of this one, counted from 1.
        keep_alive: seconds after which a connection that nothing is asked on is closed.
        host: address of the gRPC server, and of the other one where no socket is passed to the worker.
        grpc_port: port of the gRPC server, shared by all workers; 0: none.
        log: folder of the prediction log; None: nothing is logged.
        log_sample: share of the requests that are logged, 0 to 1.
        log_days: age at which a file of the log is deleted, in days; 0: never.
        log_mib: size of the whole log beyond which the oldest files are deleted, in MiB; 0: any size.
        body_mib: size of a request's body beyond which it is refused, in MiB; 0: any size.
        waiting: requests that may wait for one API; those beyond are refused.
    """

    workers: int = _DEFAULT.workers
    worker: int = 1
    keep_alive: int = 5
    host: str = "127.0.0.1"
    grpc_port: int = _DEFAULT.grpc_port
    log: Path | None = None
    log_sample: float = _DEFAULT.log_sample
    log_days: int = _DEFAULT.log_days
    log_mib: int = _DEFAULT.log_mib
    body_mib: int = _DEFAULT.body_mib
    waiting: int = _DEFAULT.waiting

    @property
    def body_bytes(self) -> int | None:
        """The largest body, in bytes; None: any size."""
        return self.body_mib * 2**20 if self.body_mib else None


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Let a parser know every setting: `--grpc-port 4000`."""
    plain = Settings()
    parser.add_argument("--log", type=Path, default=None, metavar="FOLDER", help="write the prediction log there")
    parser.add_argument("--host", default=plain.host, metavar="ADDRESS", help="where the servers listen")
    for name in ("workers", "worker", "grpc_port", "log_days", "log_mib", "body_mib", "waiting", "keep_alive"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(plain, name), metavar="N")
    parser.add_argument("--log-sample", type=float, default=plain.log_sample, metavar="SHARE")


def from_flags(args: argparse.Namespace) -> Settings:
    """The settings among the flags of a parser that `add_flags` has seen."""
    return Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})
