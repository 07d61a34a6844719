"""`box predictions` from the command line."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from boxplat.core.errors import ExitCode
from boxplat.serving import annotate
from tests.conftest import Command
from tests.serving.log import logs
from tests.serving.log.logs import ask, journal


@pytest.fixture
def logged(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Of this hour, however long ago the first test began.
    monkeypatch.setattr(logs, "NOW", time.time_ns())
    (project / "boxplat.toml").write_text('[endpoints.delay]\nbento = "b"\n[endpoints.quiet]\nbento = "b"\n')
    log = journal(project / ".box" / "predictions" / "delay")
    ask(log, 1, b'{"x": 1}', b'{"error": "no"}', status=400)
    ask(log, 2, say=lambda: annotate(rows=2, keys={"carrier": ["UA", "AA"]}, predictions=[0.25, 0.75]))
    log.flush()
    log._writer.end(0, 0)
    return project


def test_the_newest_predictions(logged: Path, box_command: Command) -> None:
    done = box_command("predictions", "delay", "--since", "1h")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and [line.split()[4] for line in lines[1:]] == ["400", "200", "200"], done.stderr
    assert "UA" in lines[2] and lines[3].endswith("0.75") and '{"error": "no"}' in lines[1]


def test_where_and_sql_as_json(logged: Path, box_command: Command) -> None:
    done = box_command("predictions", "delay", "--where", "prediction::double > 0.5 -- only those", "--json")
    (row,) = json.loads(done.stdout)["predictions"]
    assert (row["keys"], row["prediction"], row["row"]) == ({"carrier": "AA"}, 0.75, 1)
    done = box_command(
        "predictions", "delay", "--sql", "select status, count(*) n from requests group by all", "--json"
    )
    assert sorted(json.loads(done.stdout)["predictions"], key=str) == [{"status": 200, "n": 1}, {"status": 400, "n": 1}]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["dealy"], ExitCode.NOT_FOUND, "delay"),
        (["delay", "--where", "nonsense ="], ExitCode.USAGE, "describe predictions"),
        (["delay", "--since", "yesterday"], ExitCode.USAGE, "1h"),
        (["delay", "--where", "true", "--sql", "select 1"], ExitCode.USAGE, "not both"),
        (["delay", "--sql", ""], ExitCode.USAGE, "no rows"),
        (["quiet"], ExitCode.OK, "nothing of quiet is logged"),
    ],
    ids=["name", "where", "time", "both", "no statement", "nothing"],
)
def test_errors_say_what_to_do(
    logged: Path, box_command: Command, arguments: list[str], code: ExitCode, said: str
) -> None:
    done = box_command("predictions", *arguments)
    assert done.returncode == code and said in done.stderr and "Traceback" not in done.stderr
