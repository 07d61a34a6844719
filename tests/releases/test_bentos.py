"""Building Bentos and declaring the services that run them."""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

import pytest

from boxplat.adapters import bentos
from boxplat.core.config import Config, EndpointConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.graph import needs
from boxplat.core.model import Release
from boxplat.core.paths import BENTO_FACTS, Paths
from boxplat.serving.settings import Settings, add_flags, from_flags

from .conftest import ADDER, write_bento

TWO_SERVICES = """
import bentoml


@bentoml.service
class Inner:
    @bentoml.api
    def one(self) -> int:
        return 1


@bentoml.service(path_prefix="/v1")
class Outer:
    inner = bentoml.depends(Inner)

    @bentoml.api
    def two(self) -> int:
        return self.inner.one() + 1
"""


def release(tag: str, model: str | None = "toy", endpoint: str = "adder") -> Release:
    return Release(endpoint, 7, tag, model, 3 if model else None, "delay_v1", "sha256:0", 0.0, "test")


def test_version_follows_content_and_nothing_else(tmp_path: Path) -> None:
    first, second = write_bento(tmp_path / "a"), write_bento(tmp_path / "b" / "c")
    version = bentos.content_version(first)
    os.utime(second / "service.py", (0, 0))
    (second / "__pycache__").mkdir()
    (second / "__pycache__" / "service.cpython-311.pyc").write_bytes(b"x")
    assert bentos.content_version(second) == version
    (second / "service.py").rename(second / "other.py")
    assert bentos.content_version(second) != version
    write_bento(first, ADDER + "\n")
    assert bentos.content_version(first) != version


def test_version_tells_two_files_from_one(tmp_path: Path) -> None:
    """Names and contents must not run into each other in the digest."""
    one, two = tmp_path / "one", tmp_path / "two"
    write_bento(one, "ab")
    write_bento(two, "a")
    (two / "service.pyb").write_text("")
    assert bentos.content_version(one) != bentos.content_version(two)


@pytest.mark.integration
def test_build_needs_no_network_and_happens_once(
    bento: Path, paths: Paths, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download would have to go through a proxy that is not there; the second build starts no process."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("PIP_RETRIES", "0")
    folder, told = write_bento(tmp_path / "adder", ADDER + "\n# another\n"), []
    tag = bentos.build(folder, paths, config, told.append)
    assert told == ["building the Bento in adder"]
    assert tag == f"adder:{bentos.content_version(folder)}"
    assert bentos.build(folder, paths, config, told.append) == tag and len(told) == 1
    assert (paths.bentoml / "bentos" / tag.replace(":", "/") / "bento.yaml").exists()
    assert bento.name != tag.partition(":")[2]


@pytest.mark.integration
def test_build_that_does_not_import_says_why(paths: Paths, config: Config, tmp_path: Path) -> None:
    folder = write_bento(tmp_path / "broken", "import bentoml\nimport no_such_module_of_ours\n")
    with pytest.raises(BoxError) as caught:
        bentos.build(folder, paths, config)
    assert "no_such_module_of_ours" in caught.value.why
    assert caught.value.code is ExitCode.FAILED
    assert caught.value.log and Path(caught.value.log).exists()


def test_missing_folder(paths: Paths, config: Config) -> None:
    with pytest.raises(BoxError) as caught:
        bentos.build(paths.root / "bentos" / "nothing", paths, config)
    assert caught.value.code is ExitCode.NOT_FOUND


@pytest.mark.integration
def test_declaration_of_one_process(bento: Path, paths: Paths, config: Config) -> None:
    service = bentos.service(release(f"adder:{bento.name}"), config, paths)
    assert service.listen and service.health == "/readyz" and service.kind == "endpoint"
    assert service.command[:3] == ("${box.python}", "-m", "boxplat.serving.worker")
    assert service.env["MLFLOW_TRACKING_URI"] == "${tracking.url}" and needs(service) == {"tracking"}
    assert service.env["BOXPLAT_MODEL_URI"] == "models:/toy/3" and service.env["BOXPLAT_RELEASE"] == "7"
    assert service.env["BENTOML_DO_NOT_TRACK"] == "True" and service.env["COLOUR"] == "red"
    assert not any(str(paths.root) in text for text in service.texts())


@pytest.mark.integration
def test_settings_become_flags_that_the_worker_reads(bento: Path, paths: Paths) -> None:
    """Each key with a value of its own, so that a key that is lost or swapped shows."""
    given = {"workers": 2, "grpc_port": 4001, "log_sample": 0.25, "log_days": 3, "log_mib": 4, "body_mib": 5}
    config = Config(endpoints={"adder": EndpointConfig(**given, waiting=6)})
    words = bentos.service(release(f"adder:{bento.name}"), config, paths).command
    parser = argparse.ArgumentParser()
    add_flags(parser)
    words = [word.replace("${self.grpc_port}", "4001") for word in words]
    args, rest = parser.parse_known_args(words[words.index("${self.fd}") + 1 :])
    assert from_flags(args) == Settings(**given, waiting=6, log=Path("${box.state}/predictions/adder")) and not rest
    silent = Config(endpoints={"adder": EndpointConfig(log_sample=0)})
    assert "--log" not in bentos.service(release(f"adder:{bento.name}"), silent, paths).command


@pytest.mark.integration
@pytest.mark.parametrize(("inner", "own_server"), [("", True), ("(workers=2)", False)])
def test_declaration_with_a_dependency(paths: Paths, tmp_path: Path, inner: str, own_server: bool) -> None:
    """It shares the process, unless it asks for processes of its own."""
    config = Config(endpoints={"outer": EndpointConfig(bento="bentos/outer")})
    text = TWO_SERVICES.replace("@bentoml.service\n", f"@bentoml.service{inner}\n")
    tag = bentos.build(write_bento(tmp_path / "outer", text), paths, config)
    service = bentos.service(release(tag, model=None, endpoint="outer"), config, paths)
    assert service.listen == own_server and service.health == "/v1/readyz"
    assert "BOXPLAT_MODEL_URI" not in service.env
    if not own_server:
        assert service.command[1:4] == ("-m", "bentoml", "serve") and "127.0.0.1" in service.command


@pytest.mark.integration
def test_bento_that_is_gone(bento: Path, paths: Paths, config: Config, tmp_path: Path) -> None:
    lost = Paths(tmp_path)
    shutil.copytree(bento, lost.bentoml / "bentos" / "adder" / "c0", ignore=shutil.ignore_patterns(BENTO_FACTS))
    with pytest.raises(BoxError, match="is gone"):
        bentos.service(release("adder:c0"), config, lost)
