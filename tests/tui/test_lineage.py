"""The lineage of a thing: both ways from it, from thing to thing, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest
from textual.widgets import Input

from boxplat_tui import commands
from boxplat_tui.frame import text_of
from boxplat_tui.lineage import count, details, halves, label, text, thing
from boxplat_tui.screens.ask import AskScreen
from boxplat_tui.screens.lineage import LineageScreen
from boxplat_tui.screens.runs import RunScreen
from boxplat_tui.widgets.thingtree import ThingTree
from tests.tui.conftest import FakeBox, Recorder, showing, typed, until
from tests.tui.demo import NOW, empty

anyio = pytest.mark.anyio


def node(kind: str, name: str = "", role: str = "", below: tuple[Any, ...] = (), **more: Any) -> dict[str, Any]:
    return {"kind": kind, "name": name, "role": role, "facts": {}, "notes": [], "record": [], "below": below} | more


RUN = node(
    "run",
    "12",
    "came from",
    (node("code", "c0ffee", facts={"git_dirty": False}), node("parameters", facts={"epochs": "12", "seed": "0"})),
    facts={"flow": "flows/train.py", "state": "succeeded", "started": NOW - 2500},
)
VERSION = node("model version", "models:/delay/3", "serves", (RUN,), notes=["the tracking server does not answer"])
TRAFFIC = node(
    "traffic", below=(node("share", "90 %", facts={"from": NOW - 260, "until": None}),), facts={"predictions": 18021}
)
RELEASE = node("release", "delay@7", "", (TRAFFIC, VERSION), facts={"state": "live", "by": "ada/cli"}, record=[12, 13])
MODEL = VERSION | {"role": "", "below": (RUN, node("release", "delay@7", "went into"))}


def answer(subject: dict[str, Any]) -> dict[str, object]:
    return {"why": {"subject": subject, "also": [], "record": {}}}


@pytest.fixture
def traced(box: FakeBox) -> FakeBox:
    box.printed[("why", "delay@7")] = answer(RELEASE)
    box.printed[("why", "models:/delay/3")] = answer(MODEL)
    box.printed[("why", "run/12")] = answer(RUN | {"role": ""})
    return box


def asked(app: Recorder) -> list[str]:
    """What the screen asked after."""
    return [words.split()[2] for words in app.read if words.startswith("box why ")]


class Tracer(Recorder):
    """Begins at the lineage, which spares each test another screen."""

    DEFAULT_MODE = "lineage"


def tree(app: Recorder) -> ThingTree:
    return app.screen.query_one(ThingTree)


def test_a_thing_is_what_it_was_made_of_and_what_came_of_it() -> None:
    after, before = halves(thing(RELEASE))
    assert [one.kind for one in after] == ["traffic"] and [one.kind for one in before] == ["model version"]
    assert count(after) == 2 and count(before) == 4
    assert [[one.name for one in half] for half in halves(thing(MODEL))] == [["delay@7"], ["12"]]


def test_values_have_units_and_tables_a_line_an_entry() -> None:
    assert text("predictions", 3) == "3" and text("bytes", 2**20 * 5) == "5.0 MiB" and text("dirty", False) == "no"
    assert text("made", NOW).startswith("20") and text("x", {"a": 1.5, "b": [1, 2]}) == "a 1.5, b 1, 2"
    rows = list(details(thing(node("data", facts={"digests": {"a.parquet": "12ab", "b": "cd"}}, record=[4]))))
    assert rows == [("digests", ""), ("  a.parquet", "12ab"), ("  b", "cd"), ("record", "#4")]
    assert "✓ succeeded" in [cell.text for cell in label(thing(RUN))]


def test_what_is_copied_is_what_the_command_line_accepts() -> None:
    from boxplat.cli import box

    for command in (commands.why("delay@7"), commands.events("run/1", "run.failed", "!x"), commands.events()):
        verb, *words = command.words
        box.commands[verb].make_context(command.text, words)


@anyio
@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
async def test_the_live_release_is_in_the_middle_of_what_is_around_it(traced: FakeBox, size: tuple[int, int]) -> None:
    async with showing(app := Tracer(traced), size) as pilot:
        await until(pilot, lambda: "● release delay@7" in text_of(app))
        seen = text_of(app)
        for words in ("what came of it", "traffic  18021 predictions", "what it was made of", "came from: run 12"):
            assert words in seen, words
        assert seen.index("traffic") < seen.index("● release") < seen.index("models:/delay/3")
        await until(pilot, lambda: "#12  #13" in text_of(app))
        assert asked(app) == ["delay@7"] and app.screen.trail == "delay@7"


@anyio
async def test_enter_centres_escape_returns_and_going_to_it_opens_it(traced: FakeBox) -> None:
    async with showing(app := Tracer(traced), (80, 24)) as pilot:
        await until(pilot, lambda: "● release delay@7" in text_of(app))
        await pilot.press("j", "j", "enter")
        await until(pilot, lambda: "● model version models:/delay/3" in text_of(app))
        assert "went into: release delay@7" in text_of(app)
        await pilot.press("c", "C", "escape")
        assert app.copied == ["models:/delay/3", "box why models:/delay/3"]
        await until(pilot, lambda: "● release delay@7" in text_of(app))
        await pilot.press("G", "k", "k", "v")
        assert isinstance(app.screen, RunScreen) and app.screen.trail == "run 12"


@anyio
async def test_an_id_is_typed_or_chosen_and_its_command_is_shown(traced: FakeBox) -> None:
    row = {"id": "7c9e", "endpoint": "delay", "time": "2026-11-22 14:45:29"}
    traced.printed[("predictions", "delay", "--limit", "12")] = {"predictions": [row]}
    traced.printed[("why", "prediction/7c9e")] = answer(node("prediction", "7c9e", below=(RELEASE,)))
    async with showing(app := Tracer(traced), (80, 24)) as pilot:
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AskScreen))
        await typed(pilot, "12")
        await until(pilot, lambda: "run/12 " in text_of(app) and "run/13 " not in text_of(app))
        await pilot.press("down")
        await until(pilot, lambda: "$ box why run/12" in text_of(app))
        await pilot.press("enter")
        await until(pilot, lambda: "● run 12" in text_of(app))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AskScreen) and isinstance(app.focused, Input))
        await until(pilot, lambda: "prediction/7c9e" in text_of(app))
        await typed(pilot, "7c9e")
        await pilot.press("down", "enter")
        await until(pilot, lambda: "● prediction 7c9e" in text_of(app))


@anyio
async def test_what_nobody_knows_is_said_with_what_there_is(traced: FakeBox) -> None:
    traced.printed[("why", "nosuch")] = {
        "error": "nothing is known of 'nosuch'",
        "why": "it is no release\nmodels cannot be looked up",
        "fix": "box runs",
        "code": 9,
    }
    async with showing(app := Tracer(traced), (80, 24)) as pilot:
        app.reveal("lineage", "nosuch")
        await until(pilot, lambda: "nothing is known of 'nosuch'" in text_of(app))
        assert "why  it is no release · models cannot be looked up" in text_of(app) and "fix  box runs" in text_of(app)
        app.reveal("lineage", "delay@7")
        await until(pilot, lambda: "● release delay@7" in text_of(app))


@anyio
async def test_where_nothing_was_made_it_says_how_to_begin(box: FakeBox) -> None:
    box.shown = empty()
    async with showing(app := Tracer(box), (80, 24)) as pilot:
        await until(pilot, lambda: "box run flows/ingest.py --wait" in text_of(app))
        assert asked(app) == []


@anyio
async def test_folds_filter_and_cursor_stay_when_the_same_is_read_again(traced: FakeBox) -> None:
    async with showing(app := Tracer(traced), (80, 24)) as pilot:
        await until(pilot, lambda: "● release delay@7" in text_of(app))
        await pilot.press("j", "j", "space")
        await until(pilot, lambda: "run 12" not in text_of(app))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: asked(app) == ["delay@7"] * 2)
        await pilot.pause()
        selected = tree(app).selected
        assert "run 12" not in text_of(app) and selected is not None and selected.name == "models:/delay/3"
        await pilot.press("slash")
        await typed(pilot, "run 12")
        await until(pilot, lambda: "came from: run 12" in text_of(app))
        assert "traffic" not in text_of(app) and "models:/delay/3" in text_of(app)


@anyio
async def test_hostile_and_endless_names_stay_on_their_line(traced: FakeBox) -> None:
    name = "航班" * 200 + "\x1b[2J\u202e[bold]x\n" * 3
    many = tuple(node("release", f"e@{number}", "went into") for number in range(400))
    traced.printed[("why", "delay@7")] = answer(
        node("release", name, below=(*many, VERSION), notes=[name], facts={name: {name: name, "b": "\x07"}})
    )
    async with showing(app := Tracer(traced), (80, 24)) as pilot:
        await until(pilot, lambda: "航班" in text_of(app))
        await pilot.press("G", "g", "tab", "down")
        seen = text_of(app)
        assert not {"\x1b", "\u202e", "\x07"} & set(seen) and "[bold]" in seen + "[bold]"
        assert isinstance(app.screen, LineageScreen) and len(tree(app).texts) > 400
