"""The story of `scripts/story`, told by the commands that a person would type; it ends at the first surprise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
QUIET = 90
"""Seconds within which the guard must have acted after the last outcomes."""


def act(title: str) -> None:
    """A heading with the time since the start."""
    print(f"\n=== {title} [{time.monotonic() - STARTED:.0f} s]", flush=True)


def run(*words: str, code: int = 0, folder: Path | None = None) -> str:
    """Show a command, run it, show what it says; it must end with this exit code."""
    shown = " ".join(f"'{word}'" if " " in word else word for word in words)
    print(f"\n$ {shown}", flush=True)
    done = subprocess.run(words, cwd=folder or ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("· ")]
    print("\n".join(lines[-30:]), flush=True)
    if done.returncode != code:
        raise SystemExit(f"`{shown}` ended with {done.returncode}, {code} was expected")
    return done.stdout


def asked(*words: str) -> Any:
    """What a command says with --json."""
    done = subprocess.run([*words, "--json"], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def must(condition: bool, what: str) -> None:
    """Say what is so; end where it is not."""
    print(f"  {'ok' if condition else 'NOT SO'}: {what}", flush=True)
    if not condition:
        raise SystemExit(f"it was expected that {what}")


def train(**choices: object) -> None:
    """A flow's run, of which only the figures are shown."""
    params = [word for name, value in choices.items() for word in ("--param", f"{name}={value}")]
    print(f"\n$ box run flows/train.py --wait {' '.join(params)}", flush=True)
    done = subprocess.run(
        ["box", "run", "flows/train.py", "--wait", *params], cwd=ROOT, capture_output=True, text=True, check=False
    )
    text = done.stdout + done.stderr
    print("\n".join(re.findall(r"test AUC .*|delay version .*", text)) or text[-2000:], flush=True)
    must(done.returncode == 0, "the model is trained and registered")


def replay(first: str, days: int, until: Callable[[], bool]) -> bool:
    """Flights of some days, asked one by one as they came, their outcomes a step later; whether it came to the end."""
    from flights.replay import replay

    from boxplat import Box

    begin = datetime.fromisoformat(first).replace(tzinfo=UTC)
    print(f"\n$ python -m flights.replay --from {first} --days {days}", flush=True)
    flights = failed = outcomes = 0
    for moment, statuses, told in replay(Box("."), "delay", begin, days):
        flights, failed = flights + sum(statuses.values()), failed + sum(statuses.values()) - statuses.get(200, 0)
        outcomes += told
        if until():
            break
        if moment.hour == begin.hour:
            print(f"{moment:%d %B}: {flights} flights asked for, {failed} failed, {outcomes} outcomes", flush=True)
    print(f"{moment:%d %B %H:%M}: {flights} flights asked for, {failed} failed, {outcomes} outcomes", flush=True)
    must(not failed, "no request failed")
    return until()


def traffic() -> dict[str, int]:
    """Percent by release."""
    return dict(next(one for one in asked("box", "endpoints")["endpoints"] if one["name"] == "delay")["traffic"])


def champion() -> int:
    """The version that has the alias."""
    versions = asked("box", "models", "show", "delay")["models"]
    return next(int(one["version"]) for one in versions if "champion" in one["aliases"])


def prepare() -> None:
    """A project with the data, an online store as of November, and the flows' own settings."""
    act("a project, its data and its features")
    run("box", "init", str(ROOT), folder=ROOT.parent)
    settings = ROOT / "boxplat.toml"
    # Four decision times instead of twenty: each rebuilds a month of features.
    settings.write_text(settings.read_text().replace("[audit]\n", "[audit]\nmoments = 4\n"))
    os.chdir(ROOT)
    run("box", "up", "--detach")
    run("box", "wait", "--all")
    run("box", "run", "flows/ingest.py", "--wait")
    run("box", "run", "flows/features.py", "--wait", "--param", "now=2013-11-04T00:00:00+00:00")


def first_champion() -> None:
    """Trained on little; somebody answers for it, because nothing else is there."""
    act("the first model: three months, two epochs")
    train(months=3, epochs=2)
    run("box", "models", "promote", "delay", "1", code=5)
    run("box", "models", "promote", "delay", "1", "--force", "--reason", "the first model; nothing serves yet")
    run("box", "deploy", "delay")
    must(champion() == 1 and traffic() == {"1": 100}, "version 1 is champion and serves as release 1")


def challenger() -> None:
    """Trained on more months; first in the shadow, then on half of the requests, then champion."""
    act("the challenger: eight months")
    train(months=8)
    run("box", "deploy", "delay", "--version", "challenger", "--percent", "0")
    run("box", "split", "delay", "1=100", "--shadow", "2", "--reason", "the challenger answers unseen")
    replay("2013-11-04", 1, lambda: False)
    run("box", "compare", "delay")
    run("box", "split", "delay", "1=50", "2=50", "--reason", "half of the requests for the challenger")
    replay("2013-11-05", 12, lambda: verdict() != "undecided")
    run("box", "compare", "delay")
    must(verdict() == "better", "the challenger is better on live outcomes, however often one looked")
    run("box", "models", "promote", "delay", "challenger", "--reason", "better on live outcomes, and at the gates")
    must(champion() == 2 and traffic() == {"2": 100}, "version 2 is champion, and release 2 has all requests")


def verdict() -> str:
    """Of the two releases on live outcomes."""
    return str(asked("box", "compare", "delay")["comparison"]["effect"]["verdict"])


def leaky() -> None:
    """Too good to be true, refused with the reason; forced in, caught, rolled back."""
    act("a model with hindsight: the actual departure among its features")
    print("\n$ PYTHONPATH=flows python -m flights.hindsight")
    subprocess.run(["python", "-m", "flights.hindsight"], cwd=ROOT, check=True)
    train(table=".box/data/training/hindsight.parquet", build="flights.hindsight:training_rows")
    said = run("box", "models", "promote", "delay", "3", code=5)
    must("knows the future" in said and "sched_el" in said, "the gate names the columns that know the future")
    act("forced in, worse on outcomes, rolled back by the guard")
    run("box", "models", "promote", "delay", "3", "--force", "--reason", "AUC 0.92 in training!")
    must(champion() == 3 and traffic() == {"3": 100}, "version 3 is champion and serves")
    replay("2013-12-05", 3, lambda: rolled_back(0))
    must(rolled_back(QUIET), "the guard took the requests and the alias back to version 2")
    run("box", "outcomes", "show", "delay")


def rolled_back(seconds: float) -> bool:
    """Whether release 2 has the requests again, and version 2 the alias, within so many seconds."""
    end = time.monotonic() + seconds
    while not (back := traffic() == {"2": 100} and champion() == 2) and time.monotonic() < end:
        time.sleep(1)
    return back


def main() -> None:
    """All acts, and the record of them."""
    try:
        prepare()
        first_champion()
        challenger()
        leaky()
        act("the record")
        run("box", "models", "history", "delay")
        run("box", "endpoints", "history", "delay")
    finally:
        subprocess.run(["box", "down"], cwd=ROOT, check=False)
    print(f"\nthe story is told: {time.monotonic() - STARTED:.0f} s, in {ROOT}")


if __name__ == "__main__":
    ROOT = Path(sys.argv[1]).resolve()
    ROOT.parent.mkdir(parents=True, exist_ok=True)
    os.environ["PYTHONPATH"] = str(ROOT / "flows")
    sys.path.insert(0, str(ROOT / "flows"))
    main()
