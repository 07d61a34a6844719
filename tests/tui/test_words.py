"""The pure parts: numbers, lines, commands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from boxplat.core.model import RunState, State
from boxplat_tui import commands
from boxplat_tui.flows import first_flow, flow_files, parameters, purpose
from boxplat_tui.format import NONE, age, duration, size, span
from boxplat_tui.glyphs import graph, meter, run_state, service_state, to_ascii
from boxplat_tui.lines import LONGEST, LineSplitter, clean
from boxplat_tui.logfile import CHUNK, LogFile
from boxplat_tui.widgets.logpane import shorten
from boxplat_tui.widgets.table import matcher
from tests.tui.conftest import FakeBox


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, NONE), (0, "0 B"), (999, "999 B"), (1000, "1 KiB"), (262 * 2**20, "262 MiB"), (1536 * 2**20, "1.5 GiB")],
)
def test_sizes_have_binary_units(count: int | None, text: str) -> None:
    assert size(count) == text


@given(st.integers(0, 2**55))
def test_sizes_fit_their_column(count: int) -> None:
    assert len(size(count)) <= 8 or count >= 10_000 * 2**40


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, NONE), (0.44, "0.4s"), (41.2, "41s"), (100, "1m 40s"), (8040, "2h 14m"), (270000, "3d 3h"), (-3, "0.0s")],
)
def test_durations_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_ages_and_spans_change_rarely() -> None:
    assert [age(100.0, 100.0 + later) for later in (1, 12, 75, 7200)] == ["just now", "12s ago", "1m ago", "2h ago"]
    assert [span(seconds) for seconds in (59, 60, 119, 3600)] == ["59s", "1m", "1m", "1h"]


def test_every_state_is_a_glyph_and_its_word() -> None:
    for cell, state in [
        *((service_state(state), state) for state in State),
        *((run_state(state), state) for state in RunState),
    ]:
        glyph, word = cell.text.split(" ")
        assert len(glyph) == 1 and word == state.value and cell.tone


def test_a_graph_keeps_its_scale_and_its_gaps() -> None:
    assert graph([0, 50, None, 100], 6) == ["  ▁▄ █"]
    assert graph([100], 1, height=3) == ["█", "█", "█"]
    assert graph([40], 1, height=2) == [" ", "▆"]


def test_a_meter_never_hides_a_little() -> None:
    assert [cell.text for cell in meter(0.001, 4, "ok")] == ["━", "───"]
    assert [cell.text for cell in meter(7.0, 4, "ok")] == ["━━━━", ""]


@given(st.text())
def test_ascii_is_ascii_and_as_wide(text: str) -> None:
    plain = to_ascii(text)
    assert plain.isascii()
    assert cell_len(plain) == cell_len(text)


@given(st.text(max_size=200))
def test_a_clean_line_cannot_steer_the_terminal(text: str) -> None:
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or 0x202A <= ord(char) <= 0x202E for char in clean(text))


def test_escape_sequences_and_progress_bars_leave_their_text() -> None:
    assert clean("\x1b[31mred\x1b[0m \x1b]0;title\x07end") == "red end"
    assert clean("10%\r50%\r100%\r\n") == "100%"


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_chunks_make_the_same_lines_however_they_are_cut(parts: list[bytes]) -> None:
    whole, cut = LineSplitter(), LineSplitter()
    data = b"".join(parts)
    together = whole.feed(data) + whole.flush()
    assert [line for part in parts for line in cut.feed(part)] + cut.flush() == together


def test_a_line_of_a_megabyte_is_cut_and_holds_no_memory() -> None:
    splitter = LineSplitter()
    for _ in range(16):
        assert splitter.feed(b"x" * 65536) == []
    (line,) = splitter.feed(b"\n")
    assert len(line) == LONGEST and line.endswith("…")


def test_a_log_is_read_from_its_last_chunk_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %06d\n" % number for number in range(20_000)))
    log = LogFile(path)
    first = log.read()
    assert first.skipped == path.stat().st_size - CHUNK
    assert first.lines[-1] == "line 019999" and len(first.lines) < CHUNK / 12
    with path.open("ab") as file:
        file.write(b"more\nhalf")
    assert log.read().lines == ("more",)
    assert log.read().lines == ("half",)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_rotated_log_starts_again(tmp_path: Path, replaced: bool) -> None:
    path = tmp_path / "log"
    path.write_text("one\ntwo\n")
    log = LogFile(path)
    log.read()
    if replaced:
        path.rename(tmp_path / "log.1")
    path.write_text("new\n")
    chunk = log.read()
    assert chunk.restarted and chunk.lines == ("new",)


def test_a_log_that_is_not_there_yet_is_empty(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    assert log.read().lines == ()
    log.path.write_text("now\n")
    assert log.read().lines == ("now",)


def test_the_prefix_of_metaflow_is_shortened_and_nothing_else() -> None:
    line = "2026-11-22 14:02:11.123 [1763000014/fit/5 (pid 99)] epoch 3"
    assert shorten(line) == "14:02:11 fit/5 epoch 3"
    assert shorten("2026-11-22 14:02:11.123 Workflow starting (run-id 1763000014):").startswith("2026")


def test_filters_are_expressions_literals_or_inverse() -> None:
    assert matcher("fail|exit")("run.FAILED") and not matcher("fail")("ok")
    assert matcher("!fail")("ok") and not matcher("!fail")("failed")
    assert matcher("a[")("xA[") and matcher("")("") and matcher("!")("anything")


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (commands.up(), "box up --detach"),
        (commands.up("tracking"), "box up tracking"),
        (commands.down(), "box down"),
        (commands.down("delay"), "box down delay"),
        (commands.restart("delay"), "box restart delay"),
        (
            commands.run("flows/train.py", {"epochs": "3", "note": "two words"}),
            "box run flows/train.py --param epochs=3 --param 'note=two words'",
        ),
        (commands.cancel(14, "TrainFlow"), "box cancel 14"),
        (commands.deploy("delay"), "box deploy delay"),
        (commands.undeploy("delay"), "box undeploy delay"),
        (commands.deploy("delay", "4", 10), "box deploy delay --version 4 --percent 10"),
        (commands.split("delay", {8: 10, 7: 90, 6: 0}, 5), "box split delay 7=90 8=10 --shadow 5"),
        (commands.predict("delay", '{"n": 1}'), "box predict delay '{\"n\": 1}'"),
        (commands.features_apply(), "box features apply"),
        (commands.features_materialize(), "box features materialize"),
        (commands.logs("14"), "box logs 14 --follow"),
        (commands.doctor(), "box doctor"),
    ],
)
def test_commands_are_those_of_the_command_line(command: commands.Command, text: str) -> None:
    assert command.text == text
    assert command.argv("/p") == [sys.executable, "-m", "boxplat", "--project", "/p", *command.words]


def test_every_command_is_one_that_the_command_line_accepts() -> None:
    from boxplat.cli import box

    for command in (
        commands.up("a"), commands.down("a"), commands.restart("a"), commands.run("f", {"a": "b"}),
        commands.cancel(1, "f"), commands.deploy("e"), commands.undeploy("e"), commands.predict("e", "{}"),
        commands.split("e", {7: 90, 8: 10}, 9), commands.rollback("e", "x"), commands.live("e"),
        commands.features_apply(), commands.features_materialize(), commands.doctor(), commands.logs("a"),
        commands.runs(), commands.events("a", "b", "c"), commands.endpoints(), commands.endpoint_history("e"),
        commands.gpu(), commands.status(), commands.queue(), commands.hold(1), commands.release(1),
        commands.move(1, "first"), commands.pause("f"), commands.resume("f"), commands.run_now("f"),
        commands.schedules(), commands.deploy("e", "3", 10), commands.features_show("v"), commands.features_audit(),
        commands.features_skew("e"), commands.features_get("v", {"k": 1}), commands.features_materialize("2026-11-22"),
        commands.models_show("m"), commands.judge("m", 1, "a"), commands.promote("m", 1, "a", None, ()),
        commands.force("m", 1, "a", None, (), "why"), commands.models_rollback("m", "a", 2, 1, ()),
        commands.calibrate("m", 1), commands.run_shown(1), commands.run_metrics(1), commands.compare_runs([1, 2]),
        commands.resume_run(1, "f"), commands.sweeps(), commands.sweep(1), commands.resume_sweep(1),
        commands.cancel_sweep(1, 2), commands.why("a"),
    ):  # fmt: skip
        group, words = box, list(command.words)
        # `box endpoints`, `box events` and `box queue` are verbs and groups.
        while words and words[0] in getattr(group, "commands", ()):
            group = group.commands[words.pop(0)]
        group.make_context(command.text, words)


def test_what_one_may_regret_says_its_effect() -> None:
    for command in (commands.down(), commands.down("delay"), commands.undeploy("delay"), commands.cancel(1, "F")):
        assert command.effect
    for command in (commands.up(), commands.run("f", {}), commands.deploy("e"), commands.restart("s")):
        assert not command.effect


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(max_size=20)))
def test_parameters_survive_being_typed(params: dict[str, str]) -> None:
    assert commands.parameters(commands.parameter_text(params)) == params


@pytest.mark.parametrize("text", ["epochs", "=3", "a='b"])
def test_wrong_parameters_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        commands.parameters(text)


def test_input_of_a_prediction_is_json_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text("{}")
    assert commands.prediction_data('{\n "a":\n 1}', tmp_path) == '{"a": 1}'
    assert commands.prediction_data("@in.json", tmp_path) == "@in.json"
    for wrong in ("{", "@missing.json"):
        with pytest.raises(ValueError, match=r".+"):
            commands.prediction_data(wrong, tmp_path)


def test_flows_and_their_parameters_are_found_without_running_them(box: FakeBox) -> None:
    assert flow_files(box.root) == ["flows/ingest.py", "flows/train.py"]
    assert parameters(box.root / "flows" / "train.py") == {"epochs": "1"}
    assert first_flow(box.root) == "flows/ingest.py"
    (box.root / "flows" / "ingest.py").unlink()
    assert first_flow(box.root) == "flows/train.py" and first_flow(box.root / "no") == "flows/ingest.py"
    (box.root / "flows" / "broken.py").write_text("class F(FlowSpec:")
    assert parameters(box.root / "flows" / "broken.py") == {} and purpose(box.root / "flows" / "broken.py") == ""
    (box.root / "flows" / "said.py").write_text('"""Scores.\n\nMore."""\nday = Parameter("day", default=str(today))\n')
    assert parameters(box.root / "flows" / "said.py") == {"day": ""}, "only what is written out is known"
    assert purpose(box.root / "flows" / "said.py") == "Scores."
