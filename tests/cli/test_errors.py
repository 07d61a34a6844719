"""Bad input: four parts, the right exit code, and nothing harmed. No box runs here."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode, nearest, not_found
from tests.conftest import Command, run_box


def four_parts(text: str) -> bool:
    return all(part in text for part in ("error: ", "  why: ", "  fix: ")) and "Traceback" not in text


@pytest.mark.parametrize("verb", [["status"], ["runs"], ["events"], ["config"], ["up", "--detach"], ["down"]])
def test_without_a_project_every_verb_says_how_to_make_one(tmp_path: Path, verb: list[str]) -> None:
    done = run_box(tmp_path, *verb)
    assert done.returncode == ExitCode.NO_BOX and four_parts(done.stderr) and "box init" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "verb", [["run", "flows/x.py"], ["restart", "tracking"], ["deploy", "x"], ["wait", "--all"], ["status"]]
)
def test_what_needs_a_running_box_says_how_to_start_it(box_command: Command, verb: list[str]) -> None:
    done = box_command(*verb)
    assert done.returncode == ExitCode.NO_BOX
    assert "box up --detach" in done.stderr + done.stdout


def test_an_unknown_setting_stops_every_verb_before_it_does_anything(project: Path, box_command: Command) -> None:
    (project / "boxplat.toml").write_text("[tracking]\nprot = 5000\n")
    done = box_command("up", "--detach")
    assert done.returncode == ExitCode.USAGE and four_parts(done.stderr)
    assert "tracking.prot" in done.stderr and "'port'" in done.stderr
    assert not (project / ".box").exists()


def test_a_damaged_state_file_is_kept_and_the_way_out_works(project: Path, box_command: Command) -> None:
    (project / ".box").mkdir()
    damaged = project / ".box" / "box.db"
    damaged.write_bytes(b"garbage" * 1000)
    done = box_command("runs")
    assert done.returncode == ExitCode.PRECONDITION and four_parts(done.stderr)
    assert damaged.read_bytes() == b"garbage" * 1000
    move = done.stderr.partition("afresh: ")[2].partition(" && ")[0].split()
    os.rename(move[1], move[2])
    assert box_command("runs").returncode == 0


def test_a_project_in_a_place_that_cannot_be_written(project: Path, box_command: Command) -> None:
    (project / ".box").write_text("a file in the folder's place stops even root")
    done = box_command("up", "--detach")
    assert done.returncode == ExitCode.PRECONDITION and four_parts(done.stderr)
    assert (project / ".box").is_file()


def test_a_mistyped_verb_names_the_nearest(box_command: Command) -> None:
    done = box_command("statsu")
    assert done.returncode == ExitCode.USAGE and "did you mean 'status'" in done.stderr


def test_init_never_writes_over_something(project: Path) -> None:
    before = sorted(project.iterdir())
    done = run_box(project.parent, "init", project.name)
    assert done.returncode == ExitCode.USAGE and four_parts(done.stderr)
    assert sorted(project.iterdir()) == before


def test_an_error_is_json_too(tmp_path: Path) -> None:
    done = run_box(tmp_path, "status", "--json")
    told = json.loads(done.stdout)
    assert told["code"] == ExitCode.NO_BOX == done.returncode and told["schema_version"] == 1
    assert {"error", "why", "fix", "log"} <= told.keys()


@pytest.mark.parametrize("data", ["{", "@/dev/null", "[" * 100_000])
def test_input_that_is_no_json(box_command: Command, data: str) -> None:
    done = box_command("predict", "delay", data)
    assert done.returncode == ExitCode.USAGE and four_parts(done.stderr) and "JSON" in done.stderr


def test_a_file_that_does_not_exist(box_command: Command) -> None:
    done = box_command("predict", "delay", "@no-such-file.json")
    assert done.returncode == ExitCode.NOT_FOUND and four_parts(done.stderr) and "no-such-file.json" in done.stderr


def test_a_parameter_without_a_value(box_command: Command) -> None:
    done = box_command("run", "flows/x.py", "--param", "seed")
    assert done.returncode == ExitCode.USAGE and "name=value" in done.stderr


def test_the_dashboard_without_a_terminal_names_the_plain_equivalent(box_command: Command) -> None:
    done = box_command("tui")
    assert done.returncode == ExitCode.USAGE and "box tui --once" in done.stderr


def test_unknown_names_get_the_nearest_one() -> None:
    assert nearest("trackng", ["tracking", "web"]) == " (did you mean 'tracking'?)"
    assert nearest("zzz", ["tracking"]) == ""
    error = not_found("service", "webb", ["web"], "box status")
    assert isinstance(error, BoxError) and error.code is ExitCode.NOT_FOUND and "'web'" in error.what


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_onto_a_full_disk_is_no_defect_of_ours(project: Path, unbuffered: str) -> None:
    """Nor does Python have the last word, which tries to write once more at the end."""
    with Path("/dev/full").open("w") as full:
        argv, env = (
            [sys.executable, "-m", "boxplat", "config", "--json"],
            {**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
        done = subprocess.run(argv, cwd=project, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ExitCode.PRECONDITION and four_parts(done.stderr)
    assert "the disk is full" in done.stderr and "box gc" in done.stderr
    assert not list(project.glob(".box/logs/crash-*"))


def test_an_error_is_told_where_a_script_has_closed_the_output(project: Path) -> None:
    argv = ["sh", "-c", f"{shlex.quote(sys.executable)} -m boxplat status --json >&-"]
    done = subprocess.run(argv, cwd=project.parent, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == ExitCode.NO_BOX and four_parts(done.stderr)
