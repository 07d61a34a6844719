"""Models come through the server's REST API, and through MLflow's client where that cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from boxplat.adapters import tracking_models
from boxplat.core.errors import BoxError, ExitCode

STORE = """
import sys
from pathlib import Path
from mlflow import MlflowClient
folder = Path(sys.argv[1])
client = MlflowClient(f"sqlite:///{folder}/mlflow.db")
client.create_registered_model("plain")
(folder / "files").mkdir()
(folder / "files" / "model.onnx").write_bytes(b"a model")
client.create_model_version("plain", str(folder / "files"), tags={"boxplat.backend": "eager"})
client.set_registered_model_alias("plain", "champion", "1")
"""


@pytest.mark.integration
def test_a_store_without_a_server_is_read_with_mlflows_client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-c", STORE, str(tmp_path)], check=True, capture_output=True)
    store = f"sqlite:///{tmp_path}/mlflow.db"
    code = (
        "import sys; from pathlib import Path; from boxplat.adapters.tracking_models import fetch\n"
        "found = fetch('models:/plain@champion', Path(sys.argv[1]))\n"
        "print(found.version, found.tags, (found.folder / 'model.onnx').read_bytes())"
    )
    target = tmp_path / "target"
    target.mkdir()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    done = subprocess.run([sys.executable, "-c", code, str(target)], check=True, capture_output=True, text=True)
    assert done.stdout.strip().splitlines()[-1] == "1 {'boxplat.backend': 'eager'} b'a model'"


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BoxError) as caught:
        tracking_models.fetch("models:/plain/1", tmp_path, "http://127.0.0.1:9")
    assert caught.value.code is ExitCode.NO_BOX and "127.0.0.1:9" in caught.value.why


@pytest.mark.parametrize(
    ("url", "variables", "open_to_all"),
    [
        ("http://127.0.0.1:5000", {}, True),
        ("https://tracking.test", {}, True),
        ("http://me:secret@tracking.test", {}, False),
        ("https://tracking.test", {"MLFLOW_TRACKING_TOKEN": "t"}, False),
        ("https://tracking.test", {"MLFLOW_TRACKING_INSECURE_TLS": "true"}, False),
        ("sqlite:///mlflow.db", {}, False),
    ],
)
def test_only_open_servers_are_asked_directly(
    url: str, variables: dict[str, str], open_to_all: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert tracking_models._is_open(url) is open_to_all
