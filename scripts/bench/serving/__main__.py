"""boxplat's server beside `bentoml serve`, FastAPI, LitServe, `mlflow models serve` and a bare echo, in one run.

usage: python scripts/bench/serving [compare] [--models small,heavy] [--contenders …] [--clients 1,32,256] [--ways …]
                                    [--pairs 3] [--seconds 5] [--pin] [--json FILE] [--out FILE]
       python scripts/bench/serving overload|saturation|log|tune [--help]

Needs `wrk` and `pip install -e .[bench]`. Compares answers before it counts. Servers run in turns, the others stopped
meanwhile (SIGSTOP); each has one worker and may use every core, as wrk may; --pin keeps wrk on the last core and the
servers off it. With the defaults the comparison takes 35 minutes, the others 2 to 5.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from compare import Compared, Plan, compared
from contenders.every import EVERY
from machine import described
from tables import comparison

# Each has a `main(arguments)`.
OTHERS = {"overload": "overload", "saturation": "saturation", "log": "logged", "tune": "tune"}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="serving", description=(__doc__ or "").splitlines()[0])
    made.add_argument("--models", default="small,heavy")
    made.add_argument("--contenders", default=",".join(EVERY))
    made.add_argument("--clients", default="1,32,256")
    made.add_argument("--ways", default="", help="names of APIs, with commas (all)")
    made.add_argument("--pairs", type=int, default=3)
    made.add_argument("--seconds", type=int, default=5)
    made.add_argument("--pin", action="store_true", help="wrk on the last core, the servers on the others")
    made.add_argument("--no-start", action="store_true", help="leave out start-up and memory of each server alone")
    made.add_argument("--json", type=Path, help="a file for the figures of every run")
    made.add_argument("--out", type=Path, help="a file for the tables (standard output)")
    return made


def compare(arguments: list[str]) -> None:
    asked = parser().parse_args(arguments)
    cores = sorted(os.sched_getaffinity(0))
    plan = Plan(
        [EVERY[name] for name in asked.contenders.split(",")],
        [int(one) for one in asked.clients.split(",")],
        asked.pairs,
        asked.seconds,
        [one for one in asked.ways.split(",") if one],
        set(cores[:-1]) if asked.pin else None,
        set(cores[-1:]) if asked.pin else None,
    )
    lines = [described()]
    lines += [f"- {one.told}: {one.tuned}" for one in plan.contenders]
    everything: list[dict[str, Any]] = []
    for model in asked.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            found = compared(model, plan, Path(folder), not asked.no_start)
        everything.append(told(found))
        lines += comparison(found)
        # Kept as it grows, so that a run that is cut short leaves what it had.
        text = "\n".join(lines) + "\n"
        if asked.json:
            asked.json.write_text(json.dumps({"machine": lines[0], "models": everything}, indent=1))
        if asked.out:
            asked.out.write_text(text)
    print(text)


def told(found: Compared) -> dict[str, Any]:
    """Every run, for a file."""
    runs = [
        {"clients": clients, "server": name, "api": way, "runs": [one.told() for one in figures]}
        for (clients, name, way), figures in found.runs.items()
    ]
    alone = {name: [vars(one) for one in several] for name, several in found.alone.items()}
    return {"model": found.model, "limits": found.limits, "alone": alone, "runs": runs}


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and arguments[0] in OTHERS:
        importlib.import_module(OTHERS[arguments[0]]).main(arguments[1:])
        return
    compare(arguments[1:] if arguments[:1] == ["compare"] else arguments)


if __name__ == "__main__":
    main()
