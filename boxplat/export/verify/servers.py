"""Deployments of an export as processes here, each at an address of its own."""

from __future__ import annotations

import contextlib
import http.client
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.model import Document
from boxplat.export.verify.pods import Pod, Processes
from boxplat.export.verify.workflow import FAILED
from boxplat.serving.log.marks import WARMUP

_EVERYWHERE = "0.0.0.0"
_SECONDS = 120.0
# What is asked here is no use of an endpoint: its log leaves it out.
_HEADERS = {"Content-Type": "application/json", WARMUP.decode(): "1"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers; `host` is the name by which it is asked."""

    at: str
    port: int
    host: str


def exchange(address: Address, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """Status and body of the answer, to a POST of JSON where there is a body.

    Raises:
        BoxError: there is no answer within two minutes (exit code 10).
    """
    connection = http.client.HTTPConnection(address.at, address.port, timeout=_SECONDS)
    with contextlib.closing(connection):
        try:
            headers = {**_HEADERS, "Host": f"{address.host}:{address.port}"}
            connection.request("GET" if body is None else "POST", path, body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BoxError(
                f"{address.host} gives no answer",
                why=f"{path}: {error or type(error).__name__}",
                fix="box export verify   (once more; the output of its pods is in the folder that is named)",
                code=ExitCode.CHECK_FAILED,
            ) from error


@contextlib.contextmanager
def served(processes: Processes, deployment: Document, address: str, host: str) -> Iterator[tuple[str, int]]:
    """One pod of a Deployment, ready; gives the address and port at which it answers, until the block ends.

    Args:
        address: of loopback; the pod listens there where its manifest says that it listens everywhere.
        host: the name by which it is asked.

    Raises:
        BoxError: one of its containers fails, or it does not get ready within two minutes (exit code 10).
    """
    name, template = deployment["metadata"]["name"], deployment["spec"]["template"]
    spec = template["spec"]
    labels = template["metadata"].get("labels", {})
    for container in spec.get("initContainers", []):
        done = processes.run(Pod(name, spec, container, labels=labels, address=address))
        if done.status == FAILED:
            raise _failed(name, f"container {container['name']}: {done.message}", processes)
    main = _at(spec["containers"][0], address)
    probe = main["readinessProbe"]["httpGet"]
    ports = {port["name"]: port["containerPort"] for port in main["ports"]}
    port = int(ports.get(probe["port"], probe["port"]))
    with processes.started(Pod(name, spec, main, labels=labels, address=address)) as (child, _):
        if not _ready(child, address, port, probe["path"], host):
            raise _failed(name, processes.said(name) or "it does not answer", processes)
        yield address, port


def _at(value: Any, address: str) -> Any:
    """A container that listens at one address: all pods share this machine's ports."""
    if isinstance(value, dict):
        return {key: _at(item, address) for key, item in value.items()}
    if isinstance(value, list):
        return [_at(item, address) for item in value]
    return address if value == _EVERYWHERE else value


def _ready(child: subprocess.Popen[bytes], address: str, port: int, path: str, host: str) -> bool:
    deadline = time.monotonic() + _SECONDS
    while child.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, port, timeout=10)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": f"{host}:{port}"})
            if connection.getresponse().status < 400:
                return True
        time.sleep(0.2)
    return False


def _failed(name: str, why: str, processes: Processes) -> BoxError:
    return BoxError(
        f"the exported Deployment {name} does not get ready here",
        why=why,
        fix="box export kubernetes -o DIR, then: box export --check DIR",
        log=processes.log(name),
        code=ExitCode.CHECK_FAILED,
    )
