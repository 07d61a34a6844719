"""What a worker does not import at first is not there, and all of it works when a service uses it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import SERVICES, clean_environment, worker

_UNUSED = ("aiohttp", "httpx", "rich", "circus", "zmq", "bentoml._internal.cloud", "_bentoml_impl.server.proxy")
_USES = """
import asyncio, sys
from boxplat.serving.deferring import import_bentoml
import_bentoml()
import bentoml
import service
url = sys.argv[1]
service.Lifecycle.inject_config()

with bentoml.SyncHTTPClient(url) as client:
    assert client.upper(text="a") == "A"

async def asked():
    import aiohttp
    from _bentoml_impl.client import RemoteProxy

    async with bentoml.AsyncHTTPClient(url) as client:
        assert await client.upper(text="b") == "B"
    proxy = await RemoteProxy(url, service=service.Lifecycle, media_type="application/json").__aenter__()
    assert await proxy.is_ready(timeout=60) and await proxy.to_async.upper("c") == "C"
    await proxy.close()
    nobody = RemoteProxy("http://127.0.0.1:1")._async
    try:
        await nobody.is_ready(timeout=20)
    except aiohttp.ClientError:
        pass
    else:
        raise AssertionError
    await nobody.close()

asyncio.run(asked())

@bentoml.service(cmd=["true"])
class Commanded:
    pass

from starlette.applications import Starlette
assert isinstance(Commanded.to_asgi(), Starlette)
proxied = sys.modules["_bentoml_impl.server.app"].create_proxy_app(Commanded)
assert isinstance(proxied, Starlette) and proxied.routes

import httpx, rich, circus
from _bentoml_sdk.models.base import ModelManifestSchema
from bentoml._internal.cloud import BentoCloudClient
from bentoml._internal.cloud.schemas.modelschemas import ModelManifestSchema as Manifest
assert bentoml.BentoCloudClient is BentoCloudClient
made = ModelManifestSchema(module="", metadata={}, api_version="v1", bentoml_version="1", size_bytes=1)
assert isinstance(made, Manifest) and isinstance(made, ModelManifestSchema)
from _bentoml_impl.server.serving import Server
from bentoml._internal.utils.circus import Server as Whole
assert Server._found() is Whole
"""


def _run(code: str, scratch: Path, *arguments: str) -> str:
    told = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=SERVICES / "lifecycle",
        env=clean_environment(scratch),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    return told.stdout


@pytest.mark.integration
def test_what_was_left_out_works(tmp_path: Path) -> None:
    with worker(SERVICES / "lifecycle", "service:Lifecycle", tmp_path / "served") as (url, _):
        _run(_USES, tmp_path / "uses", url)


@pytest.mark.integration
def test_a_started_service_has_not_loaded_it(tmp_path: Path) -> None:
    code = """
import asyncio, sys
from boxplat.serving.worker import answer_directly, prepare
from boxplat.serving.settings import Settings
prepare("service:Lifecycle")
answer_directly(Settings(workers=1))
from service import Lifecycle
app = Lifecycle.to_asgi().app

async def started():
    async with app.router.lifespan_context(app):
        print(*sys.modules)

asyncio.run(started())
"""
    loaded = _run(code, tmp_path / "own").split()
    assert "_bentoml_impl.client" in loaded
    assert not set(_UNUSED) & set(loaded)
