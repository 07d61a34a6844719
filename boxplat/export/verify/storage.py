"""An S3-compatible server on loopback (SeaweedFS), with credentials of its own, that ends with its user."""

from __future__ import annotations

import contextlib
import ctypes
import json
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode

_PR_SET_PDEATHSIG = 1
_SECONDS = 60.0
_TRIES = 3
_TAKEN = "address already in use"
# Its log's lines begin with a letter for how bad it is and the date.
_FATAL = re.compile(r"F\d{4} ")
_REGION = "us-east-1"
# Where the server puts the sockets that no option moves.
_SOCKETS = Path("/tmp")
_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port", "s3.port.grpc",
)  # fmt: skip
# It opens a catalog each at two fixed ports and sends statistics to its makers, unless it is told not to.
_OPTIONS = (
    "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-s3.iam=false", "-s3.autoCreateBucket=false",
    "-filer.exposeDirectoryData=false", "-master.volumeSizeLimitMB=256", "-volume.max=200",
    "-volume.minFreeSpace=100MiB", "-volume.preStopSeconds=0", "-master.telemetry=false", "-s3.port.iceberg=0",
    "-s3.port.lance=0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Storage:
    """A bucket on a running server. The keys are drawn at random for each server and are not printed."""

    endpoint: str
    bucket: str
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)

    @property
    def url(self) -> str:
        """`s3://BUCKET`."""
        return f"s3://{self.bucket}"

    def environment(self) -> dict[str, str]:
        """What clients of S3 (boto3, Metaflow, MLflow, Feast, PyArrow) read from the environment."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "METAFLOW_S3_ENDPOINT_URL": self.endpoint,
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "FEAST_S3_ENDPOINT_URL": self.endpoint,
        }

    def client(self, read_seconds: float = 60) -> Any:
        """A boto3 client of the server, which waits so long for an answer."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=_REGION,
            config=Config(connect_timeout=5, read_timeout=read_seconds, retries={"max_attempts": 2}),
        )


@contextlib.contextmanager
def serve(folder: Path, bucket: str = "boxplat") -> Iterator[Storage]:
    """A server over `folder` with one bucket, until the block ends or this thread does, however that happens.

    Starting again over the same folder gives the same objects under new keys and at another port.

    Args:
        folder: made if need be; what the server stores goes to `folder/data`, its log to `folder/log`, its sockets stay
            in it as well, so its path should be short.
        bucket: at least three letters, digits or '-'.

    Raises:
        BoxError: the server is not installed (exit code 4), or does not answer within a minute (6).
    """
    binary = program()
    (folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    keys = {"accessKey": f"BOX{secrets.token_hex(8).upper()}", "secretKey": secrets.token_urlsafe(30)}
    identities = folder / "identities.json"
    identities.touch(mode=0o600)
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identities.write_text(json.dumps({"identities": [{"name": "box", "credentials": [keys], "actions": actions}]}))
    with contextlib.ExitStack() as running:
        yield _started(running, binary, folder, Storage("", bucket, keys["accessKey"], keys["secretKey"]))


def _started(running: contextlib.ExitStack, binary: str, folder: Path, keys: Storage) -> Storage:
    """The server at ports that it could take: between being found free and being opened, others may take one."""
    tries = 0
    while True:
        tries += 1
        ports = free_ports(len(_PORTS))
        storage = replace(keys, endpoint=f"http://127.0.0.1:{ports[_PORTS.index('s3.port')]}")
        with contextlib.ExitStack() as trial:
            child = trial.enter_context(_process(binary, folder, ports))
            try:
                _ready(storage, child, folder / "log")
            except BoxError as error:
                if tries == _TRIES or _TAKEN not in error.why:
                    raise
                continue
            running.push(trial.pop_all())
            return storage


@contextlib.contextmanager
def _process(binary: str, folder: Path, ports: Sequence[int]) -> Iterator[subprocess.Popen[bytes]]:
    command = [binary, f"-logdir={folder}", "server", *_OPTIONS, f"-dir={folder / 'data'}"]
    command += [f"-s3.config={folder / 'identities.json'}"]
    command += [f"-{name}={port}" for name, port in zip(_PORTS, ports, strict=True)]
    command += [f"-{part}.localSocket={folder / part}.sock" for part in ("filer", "s3")]
    with (folder / "log").open("wb") as output:
        child = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_following_parent(),
        )
    try:
        yield child
    finally:
        # It takes half a minute to end by itself when asked; what it has acknowledged is on the disk.
        child.kill()
        child.wait()
        for port in ports:
            for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)


def program() -> str:
    """The server's program: of this environment, else on PATH.

    Raises:
        BoxError: it is not installed (exit code 4).
    """
    own = Path(sys.executable).with_name("weed")
    found = str(own) if own.is_file() else shutil.which("weed")
    if found is None:
        raise BoxError(
            "there is no S3-compatible server on this machine to run the export against",
            why="the program weed (SeaweedFS) is neither in this Python environment nor on PATH",
            fix="pip install 'boxplat[export]'",
            code=ExitCode.PRECONDITION,
        )
    return found


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens at, all different; somebody else may take one before it is used.

    They lie below those that the system gives to outgoing connections (32768 and up), which come and go all the time.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        while len(found) < count:
            one = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", random.randrange(12000, 32000)))
                found.append(one.getsockname()[1])
    return found


def _ready(storage: Storage, child: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an object can be stored: the bucket can be made before there is a place for its objects."""
    from botocore.exceptions import BotoCoreError, ClientError

    # Whoever else has taken the port need not answer.
    client, deadline, made, last = storage.client(read_seconds=5), time.monotonic() + _SECONDS, False, ""
    while child.poll() is None and time.monotonic() < deadline:
        try:
            if not made:
                made = _bucket(client, storage.bucket)
            client.put_object(Bucket=storage.bucket, Key=".ready", Body=b"")
            client.delete_object(Bucket=storage.bucket, Key=".ready")
            return
        except (BotoCoreError, ClientError) as error:
            last = str(error)
            time.sleep(0.1)
    ended = child.poll() is not None
    lines = _complaint(log) if ended else [last]
    raise BoxError(
        "the S3-compatible server did not start" if ended else "the S3-compatible server does not answer",
        why="\n".join(lines) or f"it ended with status {child.returncode}",
        fix="look at its log, then try again",
        log=log,
        code=ExitCode.FAILED if ended else ExitCode.TIMED_OUT,
    )


def _complaint(log: Path) -> list[str]:
    """What it ended for, which Go's stack follows; else its last lines."""
    lines = log.read_text(errors="replace").splitlines()
    return [line for line in lines if _FATAL.match(line)][:4] or lines[-4:]


def _bucket(client: Any, name: str) -> bool:
    known = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    if name not in known:
        client.create_bucket(Bucket=name)
    return True


def _following_parent() -> Callable[[], None] | None:
    """For the server before it begins: it ends with this process, however that ends. Only Linux can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare
