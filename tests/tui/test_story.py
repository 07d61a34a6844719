"""The demo's story in a real terminal, by keys alone: from no box to a rolled back split."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import run_box
from tests.tui.tmux import box_tui, found

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not found(), reason="no tmux here: apt-get install tmux"),
]
# At the foot of a command that has not ended.
UNDER_WAY = "Close, let it run on"
SETTINGS = """
[project]
name = "story"
[tracking]
port = 5710
[features]
port = 6710
[gateway]
port = 8710
[endpoints.share]
bento = "bentos/share"
model = "share"
port = 3710
watch = "1s"
"""
FLOW = """
import json
import os
import time
from pathlib import Path

from metaflow import FlowSpec, Parameter, step


class TrainFlow(FlowSpec):
    month = Parameter("month", default=12)

    @step
    def start(self):
        from mlflow import MlflowClient

        while not Path(MAY_GO_ON).exists():
            time.sleep(0.1)
        client, run = MlflowClient(), os.environ["BOXPLAT_TRACKING_RUN_ID"]
        for epoch in range(5):
            client.log_metric(run, "loss", 1 / (epoch + self.month), step=epoch)
        client.log_dict(run, {"month": self.month}, "share/share.json")
        if not client.search_registered_models("name = 'share'"):
            client.create_registered_model("share")
        version = client.create_model_version("share", f"runs:/{run}/share", run).version
        client.set_registered_model_alias("share", "champion", version)
        (Path(os.environ["BOXPLAT_DATA"]) / "example_request.json").write_text(json.dumps({"origin": "JFK"}))
        self.next(self.end)

    @step
    def end(self):
        print("share is registered")


if __name__ == "__main__":
    TrainFlow()
"""
SERVICE = """
import bentoml


@bentoml.service
class Share:
    @bentoml.api
    def late(self, origin: str) -> str:
        return f"late from {origin}"
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    root = tmp_path / "story"
    (root / "flows").mkdir(parents=True)
    (root / "bentos" / "share").mkdir(parents=True)
    (root / "boxplat.toml").write_text(SETTINGS)
    (root / "flows" / "train.py").write_text(FLOW.replace("MAY_GO_ON", repr(str(root / "go"))))
    (root / "bentos" / "share" / "service.py").write_text(SERVICE)
    yield root
    run_box(root, "down")


def test_the_story_by_keys_alone(project: Path) -> None:
    with box_tui(project) as terminal:
        # Enter does each first step; nothing else is needed.
        terminal.until("→ 2  start the box", "$ box up --detach")
        terminal.press("Enter")
        terminal.until("✓ 2  start the box", "→ 3  train a model", "● 1 running", without=UNDER_WAY)
        terminal.press("Enter")
        terminal.until("◐ 3  train a model and register it (run 1)", without=UNDER_WAY)
        terminal.press("Enter")
        terminal.until("TrainFlow", "◐ running")
        (project / "go").touch()
        terminal.until("TrainFlow", "✓ succeeded", "share is registered")
        terminal.press("m")
        terminal.until("loss")
        terminal.press("Escape")
        terminal.until("→ 4  deploy the model as endpoint share")
        terminal.press("Enter")
        terminal.until("→ 5  ask share for a prediction", without=UNDER_WAY)
        terminal.press("Enter")
        terminal.until("$ box predict share @.box/data/example_request.json", "^s Send")
        terminal.press("C-s")
        terminal.until("late from JFK", "✓ done")
        terminal.press("Escape")
        terminal.until("All is well", "share #1", "100 %", without="✓ done")
        # A second version, on a tenth of the requests, then on half, and back.
        terminal.press("r")
        terminal.until("Run a flow", "parameters: month")
        terminal.press("Tab")
        terminal.fill("month=6", "$ box run flows/train.py --param month=6")
        terminal.press("Enter")
        terminal.until("2      TrainFlow", without="◌ queued")
        terminal.until("2      TrainFlow", without="◐ running")
        terminal.press("6")
        terminal.until("100 %", "#1")
        terminal.press("d")
        terminal.until("Make the next release of share")
        terminal.fill("10", "$ box deploy share --percent 10")
        terminal.press("Enter")
        terminal.until("#2", "10 %", "90 %", without=UNDER_WAY)
        terminal.press("w")
        terminal.until("Divide the requests of share")
        terminal.press(*["Left"] * 8)
        terminal.until("$ box split share 1=50 2=50")
        terminal.press("Enter")
        terminal.until("#1 50 %  #2 50 %", without=UNDER_WAY)
        terminal.press("b")
        terminal.until("$ box rollback share", "y Yes, do it")
        terminal.press("y")
        terminal.until("100 %", "○ retired", without=UNDER_WAY)
        terminal.leave()


def test_without_a_box_one_is_made(tmp_path: Path) -> None:
    with box_tui(tmp_path, size=(80, 24)) as terminal:
        terminal.until("There is no box here yet", "$ box init my-project")
        terminal.press("C-e")
        terminal.until("$ box init my-project --empty")
        terminal.press("Enter")
        terminal.until("✓ 1  have a project: my-project", "→ 2  start the box")
        assert "cd my-project" in terminal.leave()
    assert (tmp_path / "my-project" / "boxplat.toml").is_file()
