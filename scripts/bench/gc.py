"""box gc on a box with hundreds of runs, a served endpoint and a run that starts meanwhile.

    python scripts/bench/gc.py --runs 500

A few runs really run through the box; the others are copies of these in Metaflow's datastore with artifacts of their
own, and real runs of the tracking store. Prints what was said, what du(1) finds, and what was asked meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from boxplat.box import Box
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from tests.gc.filling import FLOWS, Filling
from tests.releases.conftest import ADDER

SETTINGS = """
[project]
name = "gc"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
model = "toy"
port = 0
watch = ""
warmup = 0
"""


class Asking:
    """Requests to the endpoint, one after the other, until told to stop."""

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, threading.Event()
        self.answers: dict[int, int] = {}
        self.last = ""
        self._thread = threading.Thread(target=self._ask)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.wait(0.02):
            request = urllib.request.Request(
                f"{self._url}/add", b'{"numbers": [1, 2]}', {"Content-Type": "application/json"}
            )
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    status, self.last = response.status, response.headers.get("x-request-id") or self.last
            except urllib.error.HTTPError as error:
                status = error.code
            self.answers[status] = self.answers.get(status, 0) + 1


def box(root: Path, *words: str, may_fail: bool = False) -> str:
    command = [sys.executable, "-m", "boxplat", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode and not may_fail:
        raise SystemExit(f"box {' '.join(words)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def du(root: Path) -> int:
    done = subprocess.run(["du", "-s", "-B1", root / ".box"], capture_output=True, text=True, check=False)
    return int(done.stdout.split()[0])


def project(root: Path) -> None:
    (root / "flows").mkdir(parents=True)
    for file in FLOWS.iterdir():
        if file.is_file():
            (root / "flows" / file.name).write_bytes(file.read_bytes())
    (root / "bentos" / "adder").mkdir(parents=True)
    (root / "bentos" / "adder" / "service.py").write_text(ADDER)
    (root / "boxplat.toml").write_text(SETTINGS)


def filled(root: Path, runs: int) -> list[int]:
    """Three real runs, two of them with a released version of a model, and all the others."""
    real = [int(box(root, "run", "flows/makes.py", "-p", f"n={n}", "--wait", "--json").split('"id": ')[1].split(",")[0])
            for n in range(3)]  # fmt: skip
    paths = Paths(root)
    state = StateStore.open(paths)
    filling = Filling(state, paths, str(state.runs.get(real[0]).pathspec).rpartition("/")[2])
    for number in real[:2]:
        filling.registered(state.runs.get(number), "toy", "champion")
        box(root, "deploy", "adder")
        change = root / "bentos" / "adder" / "service.py"
        change.write_text(change.read_text() + "\n")
    for number in range(runs):
        made = filling.run(1 + (runs - number) / 10, shared=f"{number % 25} ".encode() * 30_000)
        if number % 50 == 0:
            filling.registered(made, "toy")
    state.close()
    return real


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=500)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="gc-") as folder:
        root = Path(folder) / "project"
        project(root)
        box(root, "up", "--detach")
        try:
            box(root, "wait", "--all")
            prove(root, arguments.runs)
        finally:
            box(root, "down", may_fail=True)


def prove(root: Path, runs: int) -> None:
    began = time.monotonic()
    real = filled(root, runs)
    print(f"{runs + len(real)} runs made in {time.monotonic() - began:.0f} s")
    before = du(root)
    allowed = before // 3
    began = time.monotonic()
    seen: dict[str, Any] = json.loads(box(root, "gc", "--max-size", str(allowed), "--dry-run", "--json"))["plan"]
    looked = time.monotonic() - began
    url = next(one for one in json.loads(box(root, "endpoints", "--json"))["endpoints"] if one["name"] == "adder")[
        "url"
    ]
    with Asking(url) as asking:
        began = time.monotonic()
        during = subprocess.Popen([sys.executable, "-m", "boxplat", "run", "flows/makes.py", "--wait"], cwd=root)
        print(box(root, "gc", "--max-size", str(allowed), "--yes"))
        took = time.monotonic() - began
        assert during.wait(300) == 0, "the run that began meanwhile"
        box(root, "gc")
    after = du(root)
    mib, less = 2**20, before - after
    print(f"said {seen['bytes'] / mib:.1f} MiB; du: {before / mib:.1f} MiB, then {after / mib:.1f} MiB")
    print(f"that is {less / mib:.1f} MiB less, {100 * less / seen['bytes'] - 100:+.1f} % of what was said")
    print(f"looked for {looked:.1f} s, freed for {took:.1f} s; asked meanwhile: {asking.answers}")
    subjects = ["adder@1", "adder@2", "models:/toy/1", "models:/toy/2", *map(str, real[:2]), asking.last]
    for subject in subjects:
        told = box(root, "why", subject)
        assert "deleted" not in told, told
        print(f"box why {subject}: {len(told.splitlines())} lines")
    box(root, "rollback", "adder")
    print("rolled back:", box(root, "predict", "adder", '{"numbers": [1, 2]}', "--route", "add").strip())
    gone = {int(one["subject"][4:]) for one in seen["things"] if one["subject"].startswith("run/")}
    kept = [run for run in Box(root).runs(10_000) if run.pathspec and run.id not in gone]
    read(root, [str(run.pathspec) for run in kept if not Box(root).state.disposal.freed(f"run/{run.id}")])
    print(f"{len(kept)} runs were kept; all their artifacts can be read")


def read(root: Path, pathspecs: list[str]) -> None:
    from tests.gc.conftest import _load

    _load(Paths(root), pathspecs)


if __name__ == "__main__":
    main()
