"""One server with an API of every kind, over HTTP and gRPC."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import tritonclient.grpc
import tritonclient.http

from tests.serving.conftest import held_port, worker

WAITING = 4
BODY_MIB = 4


@dataclass(frozen=True)
class Served:
    """A running service."""

    url: str
    port: int

    @property
    def address(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def channel(self) -> str:
        return f"127.0.0.1:{self.port}"

    def plain(self, path: str, body: Any) -> bytes:
        """BentoML's own way to ask: the oracle."""
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: bytes = answer.read()
        return found


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = Path(__file__).with_name("everything")
    scratch = tmp_path_factory.mktemp("everything") / "own"
    # Clients keep their connections from one test to the next.
    flags = ["--keep-alive", "600", "--waiting", str(WAITING), "--body-mib", str(BODY_MIB), "--grpc-port"]
    with held_port() as port, worker(folder, "service:Everything", scratch, *flags, str(port)) as (url, _):
        yield Served(url, port)


@pytest.fixture(scope="package")
def http(served: Served) -> Iterator[Any]:
    with tritonclient.http.InferenceServerClient(served.address, concurrency=8) as client:
        yield client


@pytest.fixture(scope="package")
def grpc(served: Served) -> Iterator[Any]:
    with tritonclient.grpc.InferenceServerClient(served.channel) as client:
        yield client
