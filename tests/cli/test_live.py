"""The verbs against a box that is up."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from boxplat import Box
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import ExitCode
from boxplat.core.paths import Paths
from tests.cli.test_errors import four_parts
from tests.conftest import run_box

pytestmark = pytest.mark.integration


def test_status_tells_people_and_programs_the_same(live_box: Path) -> None:
    people, programs = run_box(live_box, "status"), run_box(live_box, "status", "--json")
    shown = json.loads(programs.stdout)
    tracking = next(row for row in shown["services"] if row["name"] == "tracking")
    assert people.returncode == programs.returncode == 0
    assert tracking["state"] == "running" and tracking["url"] in people.stdout
    assert shown["supervisor"]["pid"] and tracking["memory_bytes"] > 0


def test_a_run_with_a_parameter_is_waited_for_and_recorded(live_box: Path) -> None:
    done = run_box(live_box, "run", "flows/adds.py", "--param", "n=4", "--wait", "--json")
    run = json.loads(done.stdout)["run"]
    assert done.returncode == 0 and run["state"] == "succeeded" and run["params"] == {"n": "4"}
    assert "total is 10" in done.stderr
    shown = json.loads(run_box(live_box, "runs", str(run["id"]), "--json").stdout)
    assert [task["step"] for task in shown["tasks"]] == ["start", "end"]
    assert "total" in run_box(live_box, "runs", "metrics", str(run["id"])).stdout
    lines = run_box(live_box, "logs", str(run["id"]), "--step", "end").stdout.splitlines()
    assert lines and all("/end/" in line for line in lines)


def test_the_users_own_metaflow_settings_stay_out(live_box: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METAFLOW_PROFILE", "work")
    monkeypatch.setenv("METAFLOW_DEFAULT_DATASTORE", "s3")
    env = child_environment(Paths(live_box), Config())
    command = [sys.executable, "flows/adds.py", "--no-pylint", "run"]
    done = subprocess.run(command, cwd=live_box, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_once_does_no_work_twice_but_sees_a_change(live_box: Path) -> None:
    first = json.loads(run_box(live_box, "run", "flows/adds.py", "--once", "--wait", "--json").stdout)["run"]
    again = run_box(live_box, "run", "flows/adds.py", "--once", "--wait", "--json")
    assert json.loads(again.stdout)["run"]["id"] == first["id"] and "nothing to do" in again.stderr
    other = run_box(live_box, "run", "flows/adds.py", "--once", "--param", "n=5", "--wait", "--json")
    number = json.loads(other.stdout)["run"]["id"]
    assert number != first["id"]
    beside = run_box(live_box, "runs", "compare", str(first["id"]), str(number), "--json")
    facts = {fact["name"]: fact for fact in json.loads(beside.stdout)["compared"]["facts"]}
    assert facts["n"]["values"] == ["3", "5"] and facts["total"]["values"] == [6.0, 15.0] and facts["n"]["differs"]


def test_a_flow_that_fails_ends_in_four_parts_with_its_last_words(live_box: Path) -> None:
    done = run_box(live_box, "run", "flows/fails.py", "--wait")
    assert done.returncode == ExitCode.FAILED
    told = done.stderr[done.stderr.index("error: ") :]
    assert all(part in told for part in ("why: ", "fix: ", "log: ", "the oven is cold", "--resume", "run.log"))


def test_a_flow_that_does_not_exist_and_a_parameter_that_does_not(live_box: Path) -> None:
    before = len(Box(live_box).runs(1000))
    missing = run_box(live_box, "run", "flows/add.py")
    assert missing.returncode == ExitCode.NOT_FOUND and four_parts(missing.stderr) and "flows/adds.py" in missing.stderr
    wrong = run_box(live_box, "run", "flows/adds.py", "--param", "m=1")
    assert wrong.returncode == ExitCode.USAGE and four_parts(wrong.stderr) and "known: n" in wrong.stderr
    assert len(Box(live_box).runs(1000)) == before, "nothing was queued"


def test_cancel_ends_a_run_and_its_processes(live_box: Path) -> None:
    box = Box(live_box)
    run = box.run("flows/waits.py")
    for line in box.logs(str(run.id), follow=True):
        if "waiting now" in line:
            break
    assert run_box(live_box, "cancel", str(run.id)).returncode == 0
    done = box.wait_run(run.id, timeout=180)
    assert done.state.value == "cancelled"
    assert run_box(live_box, "wait", str(run.id)).returncode == ExitCode.FAILED


def test_events_follow_as_json_lines(live_box: Path) -> None:
    argv = [sys.executable, "-m", "boxplat", "events", "--follow", "--json", "--subject", "probe"]
    with subprocess.Popen(argv, cwd=live_box, stdout=subprocess.PIPE, text=True) as reader:
        Box(live_box).state.events.append("probe", "test.happened", {"n": 1})
        assert reader.stdout is not None
        line = json.loads(reader.stdout.readline())
        reader.terminate()
    assert (line["subject"], line["kind"], line["data"]) == ("probe", "test.happened", {"n": 1})


def test_every_unknown_name_is_not_found(live_box: Path) -> None:
    for verb in (
        ["logs", "trackin"],
        ["wait", "trackin"],
        ["restart", "trackin"],
        ["runs", "9999"],
        ["cancel", "9999"],
    ):
        done = run_box(live_box, *verb)
        assert done.returncode == ExitCode.NOT_FOUND and four_parts(done.stderr), (verb, done.stderr)


def test_nothing_in_the_state_folder_is_open_to_others(live_box: Path) -> None:
    """The folder is shut, and so is every file with what users did or secrets could be in."""
    private = live_box / ".box"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    files = [*private.glob("*.*"), *(private / "logs").glob("*"), *private.glob("runs/*/*"), *private.glob("mlflow/*")]
    assert [path for path in files if mode(path) & 0o077] == []


def mode(path: Path) -> int:
    """Of a regular file, which a running box may have removed since it was listed."""
    try:
        found = path.stat().st_mode
    except FileNotFoundError:
        return 0
    return found if stat.S_ISREG(found) else 0


def test_shell_completion_knows_the_verbs(live_box: Path) -> None:
    for shell in ("bash", "zsh", "fish"):
        assert "_BOX_COMPLETE" in run_box(live_box, "completion", shell).stdout
