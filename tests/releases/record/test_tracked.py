"""`box why` with a tracking server: versions, aliases and runs that only the registry knows; and the command itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxplat.adapters.tracking_api import TrackingApi
from boxplat.box import Box
from boxplat.releases.models import tracking_url
from tests.conftest import run_box
from tests.releases.record import story
from tests.releases.record.test_chain import opened
from tests.releases.record.test_why import all_of, one


@pytest.fixture(scope="module")
def tracked(live_box: Path) -> tuple[Box, str]:
    """A box whose registry has a model that nothing of boxplat has made, and the run that it came from."""
    box = Box(live_box, by="me/cli")
    api = TrackingApi(tracking_url(box.state))
    run = api.create(api.experiment("elsewhere"), "by hand", 1e9, {"mlflow.source.name": "hand.py"})["info"]
    api.log(run["run_id"], params={"depth": "3"}, metrics=[("auc", 0.75, 1e9, 0)])
    api._post("registered-models/create", name="handmade")
    api._post("model-versions/create", name="handmade", source=f"{run['artifact_uri']}/m", run_id=run["run_id"])
    api._post("registered-models/alias", name="handmade", alias="champion", version="1")
    return box, str(run["run_id"])


@pytest.mark.integration
def test_a_version_that_was_made_elsewhere_is_told(tracked: tuple[Box, str]) -> None:
    box, run = tracked
    for subject in ("models:/handmade@champion", "models:/handmade/1", "handmade/1"):
        top = box.why(subject).subject
        assert (top.name, top.facts["aliases"]) == ("models:/handmade/1", ["champion"])
        made = one(top, "run")
        assert made.name == run and made.notes == ("this box did not run it",)
        assert one(top, "parameters").facts == {"depth": "3"} and made.facts["metrics"] == {"auc": 0.75}
        assert one(top, "code").notes == ("neither commit nor digest is known",)


@pytest.mark.integration
def test_a_tracking_run_leads_down_to_its_version(tracked: tuple[Box, str]) -> None:
    box, run = tracked
    top = box.why(run).subject
    assert [node.name for node in all_of(top) if node.kind == "model version"] == ["models:/handmade/1"]


@pytest.mark.integration
def test_an_alias_moved_without_boxplat_is_told(tracked: tuple[Box, str]) -> None:
    box, _ = tracked
    found = box.models.history("handmade")
    assert (found.aliases, found.notes) == ({"champion": 1}, ()), "nobody has moved it before: no news"
    with box.state.database.write() as tx:
        box.state.record.append(tx, "model/handmade", "model.alias", "me", {"alias": "champion", "version": 2})
    told = "champion is version 1, the record has version 2: it was moved without boxplat"
    assert box.models.history("handmade").notes == (told,)


def command(root: Path, *args: str) -> tuple[int, Any]:
    done = run_box(root, *args, "--json")
    return done.returncode, json.loads(done.stdout)


def test_the_command_itself(project: Path) -> None:
    (project / "boxplat.toml").write_text('[endpoints.delay]\nmodel = "delay"\n')
    box = Box(project)
    number = story.released(box.state)
    box.state.releases.split("delay", {number: 100}, "me/cli", kind="deploy")
    code, listed = command(project, "endpoints")
    assert code == 0 and listed["endpoints"][0]["traffic"] == {"1": 100}
    code, found = command(project, "endpoints", "history", "delay")
    assert code == 0 and found["schema_version"] == 1 and found["history"]["record"]["faults"] == []
    code, found = command(project, "why", "delay@1")
    assert code == 0 and found["why"]["subject"]["name"] == "delay@1"
    code, refused = command(project, "why", "delay@2")
    assert code == 9 and "did you mean 'delay@1'" in refused["error"]
    opened(project).execute("update record set entry = replace(entry, 'me/cli', 'you/cli') where number = 3")
    checks = {check["id"]: check for check in command(project, "doctor")[1]["checks"]}
    assert checks["BOX-DSK-07"]["state"] == "fail" and "entry 3 is changed" in checks["BOX-DSK-07"]["detail"]
    box.state.close()
