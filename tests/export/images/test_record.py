"""How manifests name images that were built, pushed, or told."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.export.images import record
from boxplat.export.images.contents import contents, pack
from boxplat.export.images.making import Making, folders, make
from boxplat.export.images.model import Image
from boxplat.export.images.record import Recorded

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / ".box").mkdir()
    return Paths(tmp_path)


def test_a_pushed_image_is_named_by_digest_until_its_inputs_change(paths: Paths, planned: dict[str, Image]) -> None:
    image = planned["tracking"]
    pinned = f"registry:5000/boxplat/x@{DIGEST}"
    record.record(paths, {"tracking": Recorded(record.tag(image, "registry:5000"), pinned)})
    assert record.references(paths, [image], "registry:5000") == {"tracking": pinned}
    changed = replace(image, lock={**image.lock, "mlflow": "0"})
    for other, registry in ((changed, "registry:5000"), (image, "elsewhere")):
        assert record.references(paths, [other], registry) == {"tracking": record.tag(other, registry)}


def test_a_record_adds_to_the_earlier_ones_and_is_private(paths: Paths) -> None:
    record.record(paths, {"a": Recorded("a:1")})
    record.record(paths, {"b": Recorded("b:1", id="sha256:1", size=5)})
    assert record.recorded(paths) == {"a": Recorded("a:1"), "b": Recorded("b:1", id="sha256:1", size=5)}
    assert (paths.state / "images.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"images": {"a": {"strange": 1}}}', '{"images": 3}'])
def test_a_damaged_record_is_an_error_that_says_what_to_do(paths: Paths, text: str) -> None:
    (paths.state / "images.json").write_text(text)
    with pytest.raises(BoxError) as caught:
        record.recorded(paths)
    assert "images.json" in caught.value.fix


def test_images_from_elsewhere_are_taken_by_digest_only(planned: dict[str, Image], tmp_path: Path) -> None:
    images, file = list(planned.values()), tmp_path / "images.json"
    file.write_text(json.dumps({"flows": f"registry/flows@{DIGEST}"}))
    assert record.told(file, images)["flows"].pinned == f"registry/flows@{DIGEST}"
    for content in ({"flows": "registry/flows:1"}, {"flow": f"x@{DIGEST}"}, {"flows": None}, 7, ["flows"]):
        file.write_text(json.dumps(content))
        with pytest.raises(BoxError) as caught:
            record.told(file, images)
        assert caught.value.code is ExitCode.USAGE


def test_the_archive_says_nothing_of_dates_owners_and_rights(planned: dict[str, Image], tmp_path: Path) -> None:
    (tmp_path / "run.sh").write_text("#!/bin/sh")
    (tmp_path / "private.py").write_text("")
    image = replace(planned["tracking"], sources={"app/flows": tmp_path})
    packed = []
    for right in (0o600, 0o644):
        (tmp_path / "private.py").chmod(right)
        (tmp_path / "run.sh").chmod(right | 0o100)
        target = io.BytesIO()
        pack(contents(image), target)
        packed.append(target.getvalue())
    assert packed[0] == packed[1]
    with tarfile.open(fileobj=io.BytesIO(packed[0])) as archive:
        entries = {entry.name: (entry.mode, entry.uid, entry.uname) for entry in archive}
    assert entries["app/flows/private.py"] == (0o644, 0, "")
    assert entries["app/flows/run.sh"] == (0o755, 0, "")


def test_folders_hold_what_is_built_and_are_replaced_as_a_whole(planned: dict[str, Image], tmp_path: Path) -> None:
    images = [planned["tracking"], planned["delay"]]
    written = folders(images, [], tmp_path / "out")
    assert {"tracking/Dockerfile", "tracking/requirements.lock", "delay/app/bento/src/service.py"} <= set(written)
    assert folders(images, ["tracking"], tmp_path / "out") == sorted(
        ["export.lock.json", "tracking/Dockerfile", "tracking/requirements.lock"]
    )
    assert not (tmp_path / "out" / "delay").exists()
    (tmp_path / "out" / "mine").write_text("")
    with pytest.raises(BoxError, match="left as it is"):
        folders(images, [], tmp_path / "out")


def test_images_are_listed_without_an_engine(
    paths: Paths, planned: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{paths.state}/none.sock")
    images = list(planned.values())
    assert [one.component for one in make(paths, images, "", Making(), print)] == list(planned)
    with pytest.raises(BoxError) as caught:
        make(paths, images, "", Making(build=True), print)
    assert caught.value.code is ExitCode.PRECONDITION
    for making, code in (
        (Making(only=["flow"]), ExitCode.NOT_FOUND),
        (Making(variant="tpu"), ExitCode.USAGE),
        (Making(wheels=paths.state), ExitCode.NOT_FOUND),
    ):
        with pytest.raises(BoxError) as caught:
            make(paths, images, "", making, print)
        assert caught.value.code is code
