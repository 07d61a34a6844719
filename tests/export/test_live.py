"""The releases of a box as the exporter gets them, read from a real state."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from boxplat.adapters import bentos
from boxplat.box import Box
from boxplat.core.config import EndpointConfig
from boxplat.core.paths import BENTO_FACTS
from boxplat.export import main_release
from boxplat.exported import declared, releases


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Three releases of `delay`, each with its own Bento and settings; nothing runs."""
    (tmp_path / "boxplat.toml").write_text('[endpoints.delay]\nmodel = "delay"\nwaiting = 9\n')
    box = Box(tmp_path)
    for number in (1, 2, 3):
        facts = box.paths.bentoml / "bentos" / "delay" / f"c{number}" / BENTO_FACTS
        facts.parent.mkdir(parents=True)
        facts.write_text(json.dumps({"tag": f"delay:c{number}", "own_server": True, "health": "/readyz"}))
        made_of = {
            "bento": f"delay:c{number}",
            "model": "delay",
            "model_version": 10 + number,
            "feature_service": None,
            "environment": "e",
            "run": None,
            "settings": bentos.pinned(EndpointConfig(waiting=100 * number)),
            "features": "",
        }
        _, change = box.state.releases.deploy("delay", "me", {}, 100, "", {}, **made_of)
        box.state.changes.end(change.id)
    return box


def test_every_release_with_requests_or_copies_goes_along_as_it_was_pinned(box: Box) -> None:
    box.state.releases.split("delay", {1: 70, 2: 30}, "me", shadow=3)
    live = releases(box)
    found = {one.number: (one.weight, one.shadow, one.bento, one.model_version) for one in live["delay"]}
    assert found == {
        1: (70, False, "delay:c1", "delay/11"),
        2: (30, False, "delay:c2", "delay/12"),
        3: (0, True, "delay:c3", "delay/13"),
    }
    for one in live["delay"]:
        words = one.service.command
        # Those of now are 9: a release keeps what it was made with.
        assert words[words.index("--waiting") + 1] == str(100 * one.number)
        assert one.service.env["BOXPLAT_RELEASE"] == str(one.number)
    (own,) = (service for service in declared(box, live) if service.name == "delay")
    assert own.env["BOXPLAT_RELEASE"] == "1" and main_release(live["delay"]).number == 1


def test_of_equals_the_newest_is_the_main_release(box: Box) -> None:
    box.state.releases.split("delay", {1: 50, 2: 50}, "me")
    assert main_release(releases(box)["delay"]).number == 2


def test_an_endpoint_without_requests_is_left_out(box: Box) -> None:
    box.state.releases.split("delay", {}, "me", kind="undeploy")
    assert releases(box) == {}
    assert "delay" not in {service.name for service in declared(box, {})}
