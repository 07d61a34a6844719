"""One project with a flow for each thing that Metaflow compiles differently, exported once for the whole session."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from boxplat.adapters import tracking
from boxplat.core.config import Config, load
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export import Export, ExportInput, gather, render
from boxplat.export.verify.storage import Storage, serve

FLOWS = Path(__file__).parent / "flows"
SETTINGS = """\
[project]
name = "Wild Box"
[endpoints.delay]
bento = "bentos/delay"
model = "delay"
"""
STORE = """\
project: wild
provider: local
registry: ../.box/feast/registry.db
offline_store: {type: duckdb}
online_store: {type: sqlite, path: ../.box/feast/online.db}
entity_key_serialization_version: 3
"""


@pytest.fixture(scope="session")
def exported_paths(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    root = tmp_path_factory.mktemp("export") / "project"
    shutil.copytree(FLOWS, root / "flows", ignore=shutil.ignore_patterns("__pycache__"))
    for file, text in {
        "boxplat.toml": SETTINGS,
        "feature_repo/feature_store.yaml": STORE,
        "bentos/delay/service.py": "",
        ".box/bentoml/bentos/delay/c0ffee/src/service.py": "",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    return Paths(root)


@pytest.fixture(scope="session")
def exported_config(exported_paths: Paths) -> Config:
    return load(exported_paths.config, {})


@pytest.fixture(scope="session")
def declared(exported_paths: Paths, exported_config: Config) -> list[Service]:
    """The real tracking server, an endpoint as `box deploy` declares it, one on a GPU, and a service of the user's."""
    bento = "${box.state}/bentoml/bentos/delay/c0ffee"
    delay = Service(
        name="delay",
        command=("${box.python}", "-m", "boxplat.serving.worker", bento, "--fd", "${self.fd}"),
        kind="endpoint",
        env={"MLFLOW_TRACKING_URI": "${tracking.url}", "PROMETHEUS_MULTIPROC_DIR": "${box.state}/metrics", "N": "n"},
        port=3000,
        listen=True,
        health="/readyz",
        replicas=2,
    )
    large = Service(
        name="large",
        command=("${box.python}", "-m", "bentoml", "serve", bento, "--host", "127.0.0.1", "--port", "${self.port}"),
        kind="endpoint",
        port=3001,
        gpu_memory_mib=4000,
    )
    own = Service(name="web", command=("serve", str(exported_paths.root / "site")), env={"API": "${delay.url}/v1"})
    return [tracking.service(exported_config, exported_paths), delay, large, own]


@pytest.fixture(scope="session")
def gathered(exported_paths: Paths, exported_config: Config, declared: list[Service]) -> ExportInput:
    return gather(exported_paths, exported_config, declared, overlay="prod")


@pytest.fixture(scope="session")
def export(gathered: ExportInput) -> Export:
    return render(gathered)


@pytest.fixture(scope="session")
def documents(export: Export) -> dict[str, Any]:
    """Every manifest of the base, by `kind/name`, as a YAML 1.1 reader sees it."""
    files = [file for file in export.files if file.path.startswith("base/") and "kustomization" not in file.path]
    read = [yaml.safe_load(file.text) for file in files]
    return {f"{entry['kind']}/{entry['metadata']['name']}": entry for entry in read}


@pytest.fixture(scope="session")
def storage() -> Iterator[Storage]:
    """An S3-compatible server for all tests; each has a prefix of its own in the one bucket."""
    folder = Path(tempfile.mkdtemp(prefix="s3-"))  # its sockets need a short path
    try:
        with serve(folder) as running:
            yield running
    finally:
        shutil.rmtree(folder)


def add_bucket(storage: Storage, name: str) -> None:
    """Another bucket of the server, which has a place for objects a moment after it was made."""
    client, deadline = storage.client(), time.monotonic() + 60
    client.create_bucket(Bucket=name)
    while True:
        try:
            client.put_object(Bucket=name, Key=".ready", Body=b"")
        except ClientError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            client.delete_object(Bucket=name, Key=".ready")
            return
