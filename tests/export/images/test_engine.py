"""Images built and run by a real Docker engine; without one, or without the base image, there is nothing to ask."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boxplat.adapters import containers
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.export.images.contents import contents, pack
from boxplat.export.images.making import Making, make
from boxplat.export.images.model import Image
from boxplat.export.images.record import recorded

BASE = "python:3.11-slim-bookworm"
pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def engine() -> Iterator[Any]:
    try:
        client = containers.connect()
        containers.inspect(client, BASE)
    except BoxError as error:
        pytest.skip(f"{error.what}: {error.why}")
    yield client
    for image in client.images.list(filters={"label": "boxplat.project=enginetest"}):
        client.images.remove(image.id, force=True)
    client.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """A private file of the project's, a package in boxplat's place, and a command of a Bento's."""
    root = tmp_path_factory.mktemp("small")
    (root / "flows").mkdir()
    (root / "boxplat").mkdir()
    (root / "flows" / "say.py").write_text("import boxplat\nprint(boxplat.WORD)\n")
    (root / "flows" / "say.py").chmod(0o600)
    (root / "boxplat" / "__init__.py").write_text("WORD = 'packed'\n")
    sources = {"app/bento": root / "flows", "boxplat": root / "boxplat"}
    return Image("flows", "enginetest", {}, sources, commands=("pwd > /etc/where\nid -u >> /etc/where",))


def _build(engine: Any, image: Image, tag: str, index: str) -> containers.Built:
    """Another index makes the engine do the steps of the packages again, another component those of the last stage."""
    with tempfile.TemporaryFile() as folder:
        pack(contents(image), folder)
        folder.seek(0)
        return containers.build(engine, folder, tag, {"PIP_INDEX_URL": index}, print)


def test_an_image_runs_as_nobody_in_particular_on_a_root_that_cannot_be_changed(
    engine: Any, small: Image, tmp_path: Path
) -> None:
    (tmp_path / ".box").mkdir()
    (made,) = make(Paths(tmp_path), [small], "", Making(build=True), print)
    assert made.recorded is not None
    assert recorded(Paths(tmp_path))["flows"] == made.recorded
    script = "id -u; id -un; pwd; cat /etc/where; python /app/bento/say.py; touch $HOME/x && echo home; touch /app/x"
    with containers.running(engine, made.tag, ["sh", "-c", script]) as container:
        assert container.wait(timeout=300)["StatusCode"] == 1
        said = container.logs(stderr=False).decode().split()
        error = container.logs(stdout=False).decode()
    assert said == ["1000", "box", "/app", "/app/bento", "0", "packed", "home"]
    assert "Read-only file system" in error


def test_building_twice_gives_the_same_layers_but_for_a_bentos_own_commands(engine: Any, small: Image) -> None:
    first = _build(engine, small, "enginetest:1", "http://127.0.0.1:9/1")
    again = _build(engine, replace(small, component="other"), "enginetest:2", "http://127.0.0.1:9/2")
    assert first.layers[:-1] == again.layers[:-1]


def test_a_step_that_fails_says_so_with_its_last_lines(engine: Any, small: Image) -> None:
    broken = Image("flows", "enginetest", {"surely-not-a-package": "1"}, small.sources)
    with pytest.raises(BoxError, match="cannot be built") as caught:
        _build(engine, broken, "enginetest:3", "http://127.0.0.1:9/3")
    assert "surely-not-a-package" in caught.value.why


def test_a_registry_that_does_not_answer_is_an_error_with_four_parts(engine: Any, small: Image, tmp_path: Path) -> None:
    (tmp_path / ".box").mkdir()
    with pytest.raises(BoxError, match="cannot be pushed") as caught:
        make(Paths(tmp_path), [small], "127.0.0.1:9", Making(push=True), print)
    assert "docker login" in caught.value.fix
    assert recorded(Paths(tmp_path)) == {}
