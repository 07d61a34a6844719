"""How soon a box is healthy, beside `mlflow server` with its defaults, in one run; and how fast `box status` answers.

usage: python scripts/bench/startup.py [--rounds 3]

Both start from nothing (new folder, new database) in turn, and both must answer the same question in the same way
before their time counts: a run that a client logs is read back. Memory: resident sizes summed over all processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

BINARIES = Path(sys.executable).parent
ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def healthy(url: str, since: float) -> float:
    """Seconds until `/health` answers."""
    while time.monotonic() - since < 180:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=60) as answer:
                if answer.status == 200:
                    return time.monotonic() - since
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.02)
    raise SystemExit(f"{url} is not healthy after 180 s")


def call(url: str, path: str, body: dict[str, object]) -> dict[str, object]:
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", data, headers)) as answer:
        return dict(json.load(answer))


def tracks(url: str) -> object:
    """Log a metric and read it back."""
    made = call(url, "runs/create", {"experiment_id": "0", "start_time": 1})
    run = made["run"]["info"]["run_id"]  # type: ignore[index]
    call(url, "runs/log-metric", {"run_id": run, "key": "auc", "value": 0.776, "timestamp": 1})
    found = call(url, "runs/search", {"experiment_ids": ["0"], "max_results": 1})
    return found["runs"][0]["data"]["metrics"][0]["value"]  # type: ignore[index]


def memory(pids: list[int]) -> tuple[int, float]:
    """Processes, and their resident MiB together."""
    family = {
        process for pid in pids for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    }
    return len(family), sum(process.memory_info().rss for process in family) / 2**20


def box(folder: Path) -> tuple[float, int, float, object]:
    (folder / "boxplat.toml").write_text("[tracking]\nport = 5710\n")
    began = time.monotonic()
    subprocess.run([BINARIES / "box", "up", "--detach"], cwd=folder, env=ENV, check=True, stderr=subprocess.DEVNULL)
    subprocess.run([BINARIES / "box", "wait", "--all"], cwd=folder, env=ENV, check=True, stderr=subprocess.DEVNULL)
    took = time.monotonic() - began
    shown = json.loads(subprocess.check_output([BINARIES / "box", "status", "--json"], cwd=folder, env=ENV))
    answer = tracks(shown["services"][0]["url"])
    count, used = memory([shown["supervisor"]["pid"]])
    return took, count, used, answer


def status(folder: Path) -> float:
    """Median seconds of 20 `box status`, warm."""
    times = []
    for _ in range(22):
        began = time.monotonic()
        subprocess.run([BINARIES / "box", "status"], cwd=folder, env=ENV, check=True, stdout=subprocess.DEVNULL)
        times.append(time.monotonic() - began)
    return statistics.median(times[2:])


def mlflow(folder: Path) -> tuple[float, int, float, object]:
    url, began = "http://127.0.0.1:5711", time.monotonic()
    server = subprocess.Popen(
        [BINARIES / "mlflow", "server", "--port", "5711"],
        cwd=folder,
        env={**ENV, **QUIET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        took = healthy(url, began)
        answer = tracks(url)
        return took, *memory([server.pid]), answer
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    ours, theirs, looks = [], [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours.append(box(folder))
            looks.append(status(folder))
            subprocess.run([BINARIES / "box", "down"], cwd=folder, env=ENV, check=True, stderr=subprocess.DEVNULL)
        with tempfile.TemporaryDirectory() as name:
            theirs.append(mlflow(Path(name)))
        assert ours[-1][3] == theirs[-1][3] == 0.776, "both must give the same answer"
    for title, rows in (("box up, wait --all", ours), ("mlflow server", theirs)):
        seconds, count, used = (statistics.median(row[i] for row in rows) for i in range(3))  # type: ignore[type-var]
        print(f"{title:20} healthy after {seconds:5.2f} s   {count:2.0f} processes   {used:6.0f} MiB")
    ratios = [other[0] / own[0] for own, other in zip(ours, theirs, strict=True)]
    print(f"sooner by {statistics.median(ratios):.1f}x (median of {rounds} pairs: {[round(r, 1) for r in ratios]})")
    print(f"box status: {statistics.median(looks) * 1000:.0f} ms (median of 20, {rounds} rounds)")


main()
