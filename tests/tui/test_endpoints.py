"""Endpoints: figures, comparison, predictions, and every change with its exact effect."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given as having
from hypothesis import strategies as st
from textual.events import Key
from textual.widgets import Input, Static

from boxplat.core.errors import BoxError
from boxplat.core.model import Endpoint
from boxplat.core.percents import given, shared
from boxplat.releases.traffic import Return
from boxplat_tui.format import NONE, percent
from boxplat_tui.frame import text_of
from boxplat_tui.screens import endpoint_rows, endpoint_ways
from boxplat_tui.screens.dialogs import ConfirmScreen
from boxplat_tui.screens.endpoint import EndpointScreen
from boxplat_tui.screens.endpoint_dialogs import DeployScreen, SplitScreen
from boxplat_tui.widgets.table import LiveTable
from tests.tui.conftest import FakeBox, Recorder, showing, until
from tests.tui.demo import busy
from tests.tui.demo_endpoints import COMPARISON, LIVE, PREDICTIONS

anyio = pytest.mark.anyio
COMPARE, NEWEST = ("compare", "delay"), ("predictions", "delay", "--limit", "50")


@pytest.fixture
def box(box: FakeBox) -> FakeBox:
    box.printed[COMPARE] = COMPARISON
    box.printed[NEWEST] = PREDICTIONS
    return box


def delay() -> Endpoint:
    return busy().endpoints[0]


def releases(app: Recorder) -> list[tuple[str, ...]]:
    return app.screen.query_one("#releases LiveTable", LiveTable).texts


def effect(app: Recorder) -> str:
    """What the form in front says that it would do."""
    return str(app.screen.query_one("#effect", Static).content)


@anyio
@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_releases_have_their_figures_and_the_comparison_its_verdict(
    box: FakeBox, size: tuple[int, int]
) -> None:
    async with showing(app := Recorder(box), size) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: "release 7 is better" in text_of(app))
        await until(pilot, lambda: NONE not in releases(app)[0][3:10])
        first, second, third = (row[:10] for row in releases(app))
        assert first == ("#7", "● live", "90 %", "12.4", "8ms", "31ms", "118ms", "0 %", "2.6", "3")
        assert second == ("#6", "○ retired", "10 %", "1.4", "9ms", "35ms", "255ms", "2.4 %", "1.4", "0")
        assert third[3:] == (NONE,) * 7
        text = text_of(app)
        for words in ("13.8", "brier: -0.023, 95%", "delay v3", "delay_v1", "open to everybody"):
            assert words in text
        assert ("99 % within" in text and "2 refused" in text) is (size[0] >= 120)
        assert ("delay@7  requests a second  13" in text) is (size[1] >= 34)
        box.endpoints.shown = (replace(LIVE[1], p99_ms=2300.0, queue=9),)
        app.poller.wake()
        await until(pilot, lambda: releases(app)[0][6] == "2.3s" and releases(app)[1][3] == NONE)


@anyio
async def test_nothing_is_compared_where_one_release_has_everything(box: FakeBox) -> None:
    box.shown = replace(busy(), endpoints=(replace(delay(), traffic={7: 100}),))
    async with showing(app := Recorder(box), (140, 40)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: bool(releases(app)))
        assert "box compare delay --json" not in app.read and not app.screen.query_one("#beside").display
        box.shown = replace(busy(), endpoints=(replace(delay(), traffic={7: 100}, shadow=6),))
        app.poller.wake()
        await until(pilot, lambda: "copy" in text_of(app) and "#6 gets a copy of each request" in text_of(app))
        await until(pilot, lambda: "box compare delay --json" in app.read)


@anyio
async def test_an_endpoint_shows_its_predictions_and_traces_them(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("6", "enter")
        await until(pilot, lambda: isinstance(app.screen, EndpointScreen))
        predictions = app.screen.query_one("#predictions LiveTable", LiveTable)
        await until(pilot, lambda: len(predictions.texts) == 3)
        assert [row[1:5] for row in predictions.texts[:2]] == [
            ("#7", "200", "44ms", "3.652"),
            ("#6", "500", "44ms", NONE),
        ]
        text = text_of(app)
        assert "17,985" in text and "0.1682" in text and "ZeroDivisionError" in text
        assert "\x1b" not in text and "delay@7" in text and "environment" not in text
        await pilot.resize_terminal(140, 40)
        await until(pilot, lambda: "environment" in text_of(app) and "00000003-a26c" not in text_of(app))
        await pilot.press("n")
        await until(pilot, lambda: "delay@5" in text_of(app))
        predictions.focus()
        await pilot.press("c", "enter")
        assert app.copied == ["00000003-a26c"] and app.current_mode == "lineage"


@anyio
async def test_a_split_is_made_with_the_arrows_and_says_what_it_does(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("6", "w")
        await until(pilot, lambda: isinstance(app.screen, SplitScreen))
        await pilot.press("enter")
        assert app.asked == [], "nothing was changed"
        await pilot.press("w", "left", "left", "minus", "up", "up", "right")
        await until(pilot, lambda: "$ box split delay 5=5 6=20 7=75" in text_of(app))
        assert effect(app) == (
            "Of 100 requests 5 to release 5, 20 to release 6, 75 to release 7. "
            "First release 5 is started and warmed up."
        )
        assert "now 90 %" in text_of(app)
        await pilot.press("s")
        await until(pilot, lambda: "Release 5 gets a copy of each" in effect(app))
        await pilot.press("enter")
        assert app.asked == ["box split delay 6=21 7=79 --shadow 5"]
        await pilot.press("w", "a", "enter")
        assert app.asked[-1] == "box split delay 7=100"


@anyio
async def test_a_deploy_asks_for_version_and_percent(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("6", "d")
        await until(pilot, lambda: isinstance(app.screen, DeployScreen) and "in place of release 6" in text_of(app))
        percent, version = (
            app.screen.query_one("#deploy-percent", Input),
            app.screen.query_one("#deploy-version", Input),
        )
        percent.value = "101"
        await until(pilot, lambda: "a percentage is a number from 0 to 100" in text_of(app))
        await pilot.press("enter")
        assert app.asked == []
        percent.value, version.value = "10", "4"
        await until(pilot, lambda: "10 % of the requests; release 6 and release 7 keep the rest" in effect(app))
        await pilot.press("enter")
        assert app.asked == ["box deploy delay --version 4 --percent 10"]
        await pilot.press("j", "d")
        await until(pilot, lambda: isinstance(app.screen, DeployScreen))
        app.screen.query_one("#deploy-percent", Input).value = "10"
        await until(pilot, lambda: "nothing serves yet" in text_of(app))


@anyio
async def test_keys_that_come_all_at_once_are_taken_in_their_order(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("6", "d")
        await until(pilot, lambda: isinstance(app.focused, Input) and "in place of release 6" in text_of(app))
        for key in ("ctrl+a", "ctrl+k", "1", "5", "backspace", "0", "enter"):
            app.post_message(Key(key, key if key.isdecimal() else None))
        await until(pilot, lambda: app.asked == ["box deploy delay --percent 10"])


@anyio
async def test_dangerous_keys_say_their_exact_effect(box: FakeBox) -> None:
    async with showing(app := Recorder(box), (80, 24)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: len(releases(app)) == 3 and app.screen.pulse.back is not None)  # type: ignore[attr-defined]
        for key, words, asked in (
            ("b", "return to what was live before: all to release 5 (delay v1, now 0 %).", "box rollback delay"),
            ("P", "All requests of delay go to release 7 (delay v3, now 90 %).", "box split delay 7=100"),
            ("U", "http://127.0.0.1:3000 stops answering, and release 6 and release 7 stop.", "box undeploy delay"),
        ):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.pause()
            assert isinstance(app.screen, ConfirmScreen)
            assert words in app.screen._command.effect and f"$ {asked}" in text_of(app)
            await pilot.press("y")
            assert app.asked[-1] == asked
        box.endpoints.back = BoxError("nothing was live before", why="release 7 serves on", fix="box endpoints")
        app.poller.wake()
        await until(pilot, lambda: isinstance(app.screen.pulse.back, BoxError))  # type: ignore[attr-defined]
        await pilot.press("b")
        await until(pilot, lambda: any("nothing was live before" in said for said in app.told))
        assert len(app.asked) == 3


@anyio
async def test_readonly_offers_no_change_and_every_jump(box: FakeBox) -> None:
    async with showing(app := Recorder(box, readonly=True), (80, 24)) as pilot:
        await pilot.press("6")
        await until(pilot, lambda: len(releases(app)) == 3)
        front = app.screen
        for key in ("w", "d", "P", "b", "U", "R", "p"):
            await pilot.press(key)
            assert app.screen is front
        await pilot.press("t")
        assert app.current_mode == "lineage"
        await pilot.press("6", "e")
        assert app.current_mode == "models" and app.asked == []


def test_the_effects_name_every_release_and_the_alias() -> None:
    back = endpoint_ways.rollback(delay(), Return({6: 100}, {"model": "delay", "alias": "champion", "version": 2}))
    assert back.effect == (
        "The requests of delay return to what was live before: all to release 6 (delay v2, now 10 %). "
        "Release 7 (delay v3, now 90 %) gets none any more, and stops after its watch. "
        "The alias champion of model delay goes to version 2."
    )
    several = endpoint_ways.rollback(delay(), Return({5: 50, 6: 50}))
    assert "50 % to release 5 (delay v1, now 0 %), 50 % to release 6" in several.effect
    assert endpoint_ways.promote(delay(), 5).effect.count("now ") == 3


def test_what_failed_is_not_offered_for_a_split_unless_it_has_requests() -> None:
    one = delay()
    broken = tuple(replace(release, state="failed") for release in one.releases)
    offered = endpoint_ways.candidates(replace(one, releases=broken))
    assert [release.number for release in offered] == [6, 7]
    many = tuple(replace(one.releases[0], number=number) for number in range(1, 40))
    numbers = [release.number for release in endpoint_ways.candidates(replace(one, releases=many))]
    assert numbers == [6, 7, 34, 35, 36, 37, 38, 39]


RATES = {None: NONE, 0.0: "0", 0.04: "<0.1", 99.94: "99.9", 412.0: "412", 999.6: "1000", 1234.0: "1.2k", 120e3: "120k"}


@pytest.mark.parametrize(("value", "text"), RATES.items())
def test_rates_fit_their_column(value: float | None, text: str) -> None:
    assert endpoint_rows.rate(value) == text and len(text) <= 5


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, NONE),
        (0.0, "0 %"),
        (0.0001, "<0.1 %"),
        (0.018, "1.8 %"),
        (0.024, "2.4 %"),
        (0.0996, "10 %"),
        (1.0, "100 %"),
    ],
)
def test_a_little_failure_is_never_none(share: float | None, text: str) -> None:
    assert percent(share) == text and len(text) <= 6


@having(st.dictionaries(st.integers(1, 9), st.integers(1, 100), min_size=1, max_size=6), st.integers(0, 100))
def test_shares_add_up_and_keep_their_proportions(weights: dict[int, int], whole: int) -> None:
    found = shared(weights, whole)
    assert sum(found.values()) == whole and all(percent > 0 for percent in found.values())
    total = sum(weights.values())
    assert all(abs(found.get(one, 0) - whole * weight / total) < 1 for one, weight in weights.items())


@having(st.dictionaries(st.integers(1, 9), st.integers(1, 100), max_size=6), st.integers(1, 9), st.integers(0, 100))
def test_a_form_always_divides_all_requests(weights: dict[int, int], number: int, percent: int) -> None:
    found = given(weights, number, percent)
    assert sum(found.values()) == 100
    alone = not weights.keys() - {number}
    assert found.get(number, 0) == (100 if alone else percent)
