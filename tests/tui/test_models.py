"""The models screen: what it shows of each version, where it leads, and the commands that it makes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from textual.widgets import Input, Static

from boxplat.core.errors import BoxError
from boxplat_tui.format import NONE
from boxplat_tui.frame import text_of
from boxplat_tui.screens import model_rows, model_times, model_ways
from boxplat_tui.screens.choose import ChooseScreen
from boxplat_tui.screens.dialogs import ConfirmScreen
from boxplat_tui.screens.models import ModelsScreen
from boxplat_tui.screens.run import RunScreen
from boxplat_tui.screens.version import Detail, OneVersionScreen
from boxplat_tui.widgets.table import Listing
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo import NOW
from tests.tui.demo_models import GATES, history, judged, models

pytestmark = pytest.mark.anyio


def flat(app: Recorder) -> str:
    """What is seen, wherever its lines are folded."""
    return " ".join(text_of(app).split())


def effect(app: Recorder) -> str:
    return str(app.screen.query_one("#effect", Static).content)


def told(app: Recorder) -> list[tuple[str, ...]]:
    return app.screen.query_one("#versions", Listing).table.texts


@pytest.fixture
def box(box: FakeBox) -> FakeBox:
    box.printed[("models", "history", "delay")] = history()
    return box


async def test_each_version_has_its_metric_gates_aliases_and_place(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and len(told(app)) == 3)
        assert told(app) == [
            ("delay", "3", "challenger", "auc 0.9195", "✗ 1 of 3", NONE),
            ("delay", "2", "champion", "auc 0.7746", "✓ 1 passed", "delay#7 90 %"),
            ("delay", "1", NONE, "auc 0.763", f"{NONE} not judged", "delay#6 10 %"),
        ]
        await until(pilot, lambda: "gain -0.0762" in text_of(app))
        assert "refused as champion by ada/cli 1h ago" in text_of(app)
        assert "the champion: 0.7746" in flat(app), "a gate that refused says its rule and what the champion has"
        await pilot.press("j", "tab", "G")
        await until(pilot, lambda: "onnxruntime       chosen   0.41 times" in text_of(app))
        assert "the AUC is worse by 0.004" in text_of(app)
        box.models.shown = (replace(models()[0], versions=models()[0].versions[1:]),)
        await until(pilot, lambda: len(told(app)) == 2)


async def test_enter_shows_a_version_in_full_and_escape_leads_back(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(told(app)) == 3)
        await pilot.press("j", "enter")
        await until(
            pilot, lambda: isinstance(app.screen, OneVersionScreen) and "● serves  delay#7 90 %" in text_of(app)
        )
        assert isinstance(app.focused, Detail) and "delay v2" in text_of(app)
        await pilot.press("G")
        await until(pilot, lambda: "LIVE" in text_of(app) and "v2" in text_of(app))
        await pilot.press("escape")
        assert isinstance(app.screen, ModelsScreen)


async def test_what_was_live_when_is_beside_it_where_there_is_room(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (140, 40)) as pilot:
        await pilot.press("5")
        periods = lambda: app.screen.query_one("#periods", Listing)  # noqa: E731
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and len(periods().table.texts) == 3)
        assert [row[3] for row in periods().table.texts] == ["v2 90 %  v1 10 %", "v1 100 %  v2 shadow", "v1 100 %"]
        await until(pilot, lambda: "░" in text_of(app))
        assert "METRICS" in text_of(app) and "+0.1449" in text_of(app), "the change against the champion"
        await pilot.press("j", "j", "space", "k", "k")
        await until(pilot, lambda: "+0.1565" in text_of(app))
        assert "+0.1449" not in text_of(app), "marked versions take the champion's place"


ASKED = (
    ("p enter", ["box models promote delay 3 --dry-run"]),
    ("p down enter n", []),
    ("p down enter y", ["box models promote delay 3"]),
    ("b y", ["box models rollback delay"]),
    ("d enter y", ["box deploy delay --version 3"]),
    ("d down enter y", ["box deploy delay --version 3 --percent 10"]),
    ("d escape", []),
    ("m", ["box models calibrate delay --version 3"]),
    ("j p down enter y", ["box models promote delay 2 --to challenger"]),
)


async def test_a_key_asks_for_its_command(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(told(app)) == 3)
        for keys, asked in ASKED:
            app.asked.clear()
            await pilot.press(*keys.split())
            await pilot.pause()
            assert app.asked == asked, keys


async def test_a_forced_promotion_needs_its_reason_and_says_what_it_does(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(told(app)) == 3)
        await pilot.press("p", "up")
        await until(pilot, lambda: isinstance(app.screen, ChooseScreen) and "needs a reason" in text_of(app))
        await pilot.press("enter")
        assert isinstance(app.screen, ChooseScreen), "without a reason nothing happens"
        await typed(pilot, "the feed is down")
        assert "champion goes from version 2 to version 3, and endpoint delay is deployed with it" in effect(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("y")
        assert app.asked == ["box models promote delay 3 --force --reason 'the feed is down'"]
        await pilot.press("d", "down", "down")
        await until(pilot, lambda: "whole number from 1 to 100" in text_of(app))
        app.screen.query_one(Input).value = "25"
        await until(pilot, lambda: "Now #7 (v2) has 90 %, #6 (v1) has 10 %. Gates" in effect(app))


async def test_it_leads_to_the_run_the_endpoint_the_lineage_and_the_server(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        opened: list[str] = []
        app.open_address = opened.append  # type: ignore[method-assign]
        await pilot.press("5")
        await until(pilot, lambda: len(told(app)) == 3)
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "run 14" in text_of(app))
        await pilot.press("escape")
        for key, mode in (("e", "endpoints"), ("t", "lineage")):
            await pilot.press("5")
            await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and len(told(app)) == 3)
            await pilot.press(key)
            await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]
        await pilot.press("5", "c", "C", "o", "l")
        assert app.copied == ["models:/delay/3", "box models show delay"]
        assert opened == ["http://127.0.0.1:5000/#/models/delay/versions/3"]
        assert "log of run 14" in text_of(app)
        app.reveal("models", "delay/1")
        await until(pilot, lambda: isinstance(app.screen, ModelsScreen) and app.screen.chosen == "delay/1")


async def test_readonly_offers_nothing_that_changes(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: len(told(app)) == 3)
        await pilot.press("p", "b", "d", "m")
        assert isinstance(app.screen, ModelsScreen) and app.asked == [] and "Promote" not in text_of(app)


async def test_no_models_and_models_that_cannot_be_read_say_what_to_do(box: FakeBox) -> None:
    box.models.shown = ()
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("5")
        await until(pilot, lambda: "box run flows/train.py --wait" in flat(app))
        box.models.error = BoxError("the models cannot be read", why="the file is torn", fix="box doctor")
        await until(pilot, lambda: "the file is torn" in text_of(app) and "box doctor" in text_of(app))
        await pilot.press("p", "b", "d", "m", "u", "e", "t", "l", "c", "enter")
        assert app.asked == [] and isinstance(app.screen, ModelsScreen)
        box.models.error, box.models.shown = None, models()
        await until(pilot, lambda: len(told(app)) == 3 and "torn" not in text_of(app))


def test_every_way_is_a_command_that_the_command_line_accepts_and_says_its_effect() -> None:
    from boxplat.cli import box as cli

    model = models()[0]
    for one in model.versions:
        ways = [*model_ways.promotions(model, one), *model_ways.rollbacks(model), *model_ways.deploys(model, one)]
        for way in ways:
            command = way.make("25" if "percent" in way.asks else "candidate" if way.asks else "")
            group, words = cli, list(command.words)
            while words and hasattr(group, "commands"):
                group = group.commands[words.pop(0)]
            group.make_context(command.text, words)
            assert bool(command.effect) is ("--dry-run" not in command.words)
    bare = replace(model, aliases=(), endpoints=(), versions=model.versions[:1])
    assert model_ways.rollbacks(bare) == [] and model_ways.deploys(bare, bare.versions[0]) == []
    assert model_ways.promotions(bare, bare.versions[0])[1].make("").text == "box models promote delay 3"


def test_an_alias_whose_endpoint_serves_another_version_is_pointed_out() -> None:
    model = models()[0]
    said = "▲ delay should serve it"
    for one, expected in ((model.versions[1], False), (replace(model.versions[1], serving=()), True)):
        text = "".join(cell.text for cells in model_rows.detail(model, one, NOW, 60) for cell in cells)
        assert (said in text) is expected


WILD = "\x1b[31m" + "長い名前 🚀 " * 40 + "[bold]\x00\r\n\u202e"


@pytest.mark.parametrize("width", [20, 40, 80])
def test_wild_words_stay_within_the_pane(width: int) -> None:
    model = models()[0]
    gates = (*GATES, replace(GATES[0], name=WILD, found=WILD, rule=WILD, champion=WILD))
    version = replace(model.versions[0].version, tags={WILD: WILD}, metrics={WILD: float("nan"), "auc": 0.5})
    said = replace(judged(True, gates, forced=True), reason=WILD, unjudged=WILD, by=WILD)
    one = replace(model.versions[0], version=version, judged=said)
    for cells in model_rows.detail(replace(model, name=WILD), one, NOW, width):
        for cell in cells[1:]:
            assert not set(cell.text) & set("\x1b\x00\r\n\u202e")
    folded = [line for line in model_rows._folded(WILD, width)]
    assert all(cell_len(line) <= width for line in folded)


@pytest.mark.parametrize("count", [0, 1, 40, 500])
@pytest.mark.parametrize("width", [30, 76, 140])
def test_the_line_of_time_fits_however_often_traffic_changed(count: int, width: int) -> None:
    model = models()[0]
    begins = [NOW - 10 * (count - index) for index in range(count)]
    said = {"endpoint": "delay", "shadow": None, "by": "ada", "kind": "", "reason": ""}
    found = [
        {**said, "begin": begin, "end": end, "weights": {str(5 + index % 3): 100}, "entry": index}
        for index, (begin, end) in enumerate(zip(begins, [*begins[1:], None], strict=False))
    ]
    lines = ["".join(cell.text for cell in cells) for cells in model_times.chart(found, model, NOW, width)]
    assert all(cell_len(line) <= max(width, 26) for line in lines)
    assert len(lines) == (0 if not count else min(count - 1, 1) + 2)
    assert len(model_times.rows(found, model, NOW)) == count
