"""A running endpoint: a release that is worse on outcomes is taken back by the guard, and everything says why."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from boxplat.box import Box
from tests.releases.conftest import ask, until, write_bento

pytestmark = pytest.mark.integration
SETTINGS = """
[project]
name = "guarded"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.coin]
bento = "bentos/coin"
port = 0
[outcomes.coin]
keys = ["toss"]
loss = "error"
[guards.coin]
alpha = 0.01
every = "1s"
"""
COIN = """
from __future__ import annotations

import bentoml

from boxplat.serving import annotate


@bentoml.service(name="coin")
class Coin:
    @bentoml.api
    def predict(self, toss: int) -> float:
        heads = 1.0 if toss % 2 else 0.0
        annotate(keys={"toss": toss}, predictions=heads)
        return heads
"""
CONTRARY = COIN.replace("1.0 if toss % 2 else 0.0", "0.0 if toss % 2 else 1.0")


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("guarded")
    (root / "boxplat.toml").write_text(SETTINGS)
    write_bento(root / "bentos" / "coin", COIN)
    found = Box(root, by="test")
    found.up(detach=True)
    try:
        found.wait(timeout=300)
        yield found
    finally:
        found.down()


def url(box: Box) -> str:
    return str(next(one.url for one in box.endpoints() if one.name == "coin"))


def toss(box: Box, address: str, numbers: range) -> None:
    """Ask for each, and add what it was."""
    for number in numbers:
        assert ask(f"{address}/predict", json.dumps({"toss": number}).encode())[0] == 200
    rows = "\n".join(json.dumps({"toss": number, "label": number % 2}) for number in numbers)
    file = box.root / "outcomes.jsonl"
    file.write_text(rows)
    assert box.outcomes.add("coin", str(file)).new == len(numbers)


def test_a_release_that_is_worse_on_outcomes_loses_its_traffic(box: Box) -> None:
    first = box.deploy("coin").number
    write_bento(box.root / "bentos" / "coin", CONTRARY)
    second = box.deploy("coin", percent=40).number
    assert box.state.releases.traffic("coin") == {first: 60, second: 40}
    address, numbers = url(box), iter(range(0, 10**9, 50))
    random.seed(1)

    def taken_back() -> bool:
        if box.state.releases.traffic("coin") == {first: 100}:
            return True
        start = next(numbers)
        toss(box, address, range(start, start + 50))
        return False

    until("the guard takes it back", taken_back, 300)
    entries = box.state.record.entries("endpoint/coin")
    (breach,) = [entry for entry in entries if entry.kind == "guard.breached"]
    assert (breach.by, breach.data["number"], breach.data["guard"]) == ("guard", second, "alpha")
    assert breach.data["effect"]["low"] > 0 and breach.data["e_value"] >= 100
    back = [entry for entry in entries if entry.kind == "traffic.set"][-1]
    assert back.by == "guard" and back.data["evidence"]["guards"][0]["guard"] == "alpha"
    assert "broke its guard-rails" in back.data["reason"]
    found = box.compare("coin", (first, second))
    assert (found.verdict, found.effect.newer_loss, found.effect.older_loss) == ("worse", 1.0, 0.0)
    kinds = {event.kind for event in box.events(subject="coin")}
    assert {"guard.breached", "comparison.verdict"} <= kinds
