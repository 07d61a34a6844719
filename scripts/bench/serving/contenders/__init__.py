"""Who is compared: how each server is started, and how the same question is put to it."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SERVICES = Path(__file__).parents[1] / "services"
ROW = [round(n / 7, 3) for n in range(64)]
JSON = {"content-type": "application/json"}
# As fast as uvicorn gets, on a socket made for it.
UVICORN = ("--fd", "{fd}", "--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning")


@dataclass(frozen=True)
class Way:
    """One way of asking a server for the answer to `ROW`.

    Attributes:
        name: of the API.
        read: the numbers in an answer's body.
        optional: left out where the server does not know the path.
    """

    name: str
    path: str
    body: bytes
    read: Callable[[bytes], Any]
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    optional: bool = False


@dataclass(frozen=True)
class Contender:
    """A server.

    Attributes:
        told: its name in tables.
        command: its arguments, of Python's own first; `{port}`, `{fd}` and `{scratch}` are filled in.
        ways: of asking it.
        folder: where it is started.
        inherits: takes a listening socket made for it, as the supervisor makes it.
        before: arguments of a command to run once before the first start.
        tuned: what was set to make it fast.
    """

    name: str
    told: str
    command: tuple[str, ...]
    ways: tuple[Way, ...]
    folder: Path = SERVICES
    inherits: bool = False
    before: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    tuned: str = ""


def plain(name: str, field: str | None = None) -> Way:
    """JSON with the row as `x`, answered with rows, in a field if there is one."""
    body = json.dumps({"x": [ROW]}).encode()
    return Way(name, f"/{name}", body, lambda found: json.loads(found)[field] if field else json.loads(found))


def tensors(name: str) -> Way:
    """The Open Inference Protocol's binary tensors, of the API of this name."""
    raw = struct.pack("<64d", *ROW)
    told = {"name": "x", "shape": [1, 64], "datatype": "FP64", "parameters": {"binary_data_size": len(raw)}}
    head = json.dumps({"inputs": [told], "parameters": {"binary_data_output": True}}).encode()
    headers = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}

    def read(found: bytes) -> Any:
        told, end = json.JSONDecoder().raw_decode(found.decode("latin-1"))
        kind = {"FP32": "f", "FP64": "d"}[told["outputs"][0]["datatype"]]
        return list(struct.unpack(f"<1{kind}", found[end:]))

    path = f"/v2/models/{name}/infer"
    return Way(f"{name}, binary tensors", path, head + raw, read, headers, optional=True)
