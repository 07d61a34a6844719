"""Flows under the warm launcher, beside the same flows under Metaflow alone, in turns; and the same through `box run`.

usage: python scripts/bench/launcher.py [--rounds 3] [--box]

Null steps, byte code compiled by a first round that does not count, two tasks at once. CPU: user and system seconds of
all processes of a run, by wait4 (a scheduler waits for its server, and that for its tasks). Before a pair counts, both
runs must have the same artifacts under the same keys of Metaflow's content store. `full`: warm, and with all that
`box run` adds: its recorder, and a lease from the ledger for each task.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from boxplat.adapters.flows import EXTENSION, environment
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore

FLOWS = {
    "Linear": """
    @step
    def start(self):
        self.x = 1
        self.next(self.a)

    @step
    def a(self):
        self.next(self.b)

    @step
    def b(self):
        self.next(self.c)

    @step
    def c(self):
        self.next(self.end)
""",
    "Wide": """
    @step
    def start(self):
        self.parts = list(range(50))
        self.next(self.work, foreach="parts")

    @step
    def work(self):
        self.next(self.join)

    @step
    def join(self, inputs):
        self.next(self.end)
""",
}
CASES = {"linear": ("Linear",), "cards": ("Linear", "--with", "card"), "foreach": ("Wide",)}
WARM = {"PYTHONPATH": str(EXTENSION), "BOXPLAT_RUN_WARM": "true"}
# What the extension itself changes in every run that has it: its own name among those that are installed.
OWN = "_graph_info"


@dataclass(frozen=True)
class Cost:
    """One run: seconds by the clock, and of CPU."""

    wall: float
    cpu: float


def write_flows(folder: Path) -> None:
    for name, steps in FLOWS.items():
        text = (
            f"from metaflow import FlowSpec, step\n\n\nclass {name}(FlowSpec):{steps}\n    @step\n    def end(self):\n"
        )
        (folder / f"{name}.py").write_text(f"{text}        pass\n\n\nif __name__ == '__main__':\n    {name}()\n")


def environments(paths: Paths) -> dict[str, dict[str, str]]:
    base = child_environment(paths, Config())
    base.pop("PYTHONPATH", None)
    full = environment(base, paths.state / "spool.jsonl", "bench", None)
    learnt = {"BOXPLAT_LEARNT": "{}", "BOXPLAT_RUN_ID": "1", "BOXPLAT_RUN_WARM": "true"}
    return {"stock": base, "warm": base | WARM, "full": full | learnt}


def run(folder: Path, env: dict[str, str], flow: str, *words: str) -> Cost:
    command = [sys.executable, f"{flow}.py", "--no-pylint", "run", "--max-workers", "2", *words]
    began = time.monotonic()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((folder / "log").read_text())
    return Cost(time.monotonic() - began, used.ru_utime + used.ru_stime)


def keys(root: Path, flow: str) -> list[tuple[str, str, str]]:
    """Step, name and key of every artifact of a flow's latest run."""
    top = root / ".metaflow" / flow
    folder = top / (top / "latest_run").read_text()
    found = []
    for path in folder.glob("*/*/0.data.json"):
        objects = json.loads(path.read_text())["objects"]
        found += [(path.parent.parent.name, name, key) for name, key in objects.items() if name != OWN]
    return sorted(found)


def compare(folder: Path, rounds: int) -> dict[tuple[str, str], list[Cost]]:
    paths = Paths(folder)
    paths.create()
    write_flows(folder)
    # As a supervisor has it: the last one to close it would write SQLite's journal back, here after every task.
    state = StateStore.open(paths)
    sides = environments(paths)
    costs: dict[tuple[str, str], list[Cost]] = {}
    for number in range(rounds + 1):
        for case, (flow, *words) in CASES.items():
            expected = None
            for side, env in sides.items():
                cost = run(folder, env, flow, *words)
                found = keys(paths.metaflow, flow)
                expected = expected or found
                assert found == expected, f"{side} has other artifacts than stock"
                if number:
                    costs.setdefault((side, case), []).append(cost)
    state.database.close()
    return costs


def marginal(costs: dict[tuple[str, str], list[Cost]], side: str) -> list[float]:
    """CPU seconds of one more task, by round."""
    pairs = zip(costs[side, "foreach"], costs[side, "linear"], strict=True)
    return [(wide.cpu - linear.cpu) / 48 for wide, linear in pairs]


def ratios(stock: list[float], ours: list[float]) -> str:
    each = [one / other for one, other in zip(stock, ours, strict=True)]
    return f"{statistics.median(each):5.1f} times ({', '.join(f'{one:.1f}' for one in each)})"


def report(costs: dict[tuple[str, str], list[Cost]]) -> None:
    for case in CASES:
        for side in ("stock", "warm", "full"):
            rows = costs[side, case]
            wall, cpu = statistics.median(row.wall for row in rows), statistics.median(row.cpu for row in rows)
            print(f"{case:8} {side:6} {wall:6.2f} s wall {cpu:6.2f} s CPU", end="")
            print(f"   wall {ratios([row.wall for row in costs['stock', case]], [row.wall for row in rows])}", end="")
            print(f"   CPU {ratios([row.cpu for row in costs['stock', case]], [row.cpu for row in rows])}")
    for side in ("stock", "warm", "full"):
        own = marginal(costs, side)
        print(f"one task more, {side:6} {statistics.median(own):.4f} s CPU   {ratios(marginal(costs, 'stock'), own)}")


def through_box(folder: Path, rounds: int) -> None:
    """Seconds by the clock of runs through a box, forked and not."""
    box = [str(Path(sys.executable).parent / "box")]
    (folder / "boxplat.toml").write_text('[project]\nname = "bench"\n')
    write_flows(folder)
    subprocess.run([*box, "up", "--detach"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
    try:
        subprocess.run([*box, "wait", "--all"], cwd=folder, check=True, stderr=subprocess.DEVNULL)
        took: dict[tuple[str, bool], list[float]] = {}
        for number in range(rounds + 1):
            for flow in FLOWS:
                for cold in (True, False):
                    words = ["run", f"{flow}.py", "--wait", "--json", *(["--cold"] if cold else [])]
                    said = subprocess.run([*box, *words], cwd=folder, check=True, capture_output=True).stdout
                    one = json.loads(said)["run"]
                    if number:
                        took.setdefault((flow, cold), []).append(one["ended"] - one["started"])
        for flow in FLOWS:
            cold, warm = (took[flow, kind] for kind in (True, False))
            print(f"box run {flow}: cold {statistics.median(cold):.2f} s, warm {statistics.median(warm):.2f} s", end="")
            print(f"   {ratios(cold, warm)}")
    finally:
        subprocess.run([*box, "down"], cwd=folder, check=True, stderr=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--box", action="store_true", help="also through a box")
    given = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as name:
        report(compare(Path(name), given.rounds))
    if given.box:
        with tempfile.TemporaryDirectory() as name:
            through_box(Path(name), given.rounds)


main()
