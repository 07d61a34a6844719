"""What the dashboard costs, and how soon it answers, on a box with 10,000 runs, 1,000 releases and a million events.

usage: python scripts/bench/dashboard.py [--seconds 60] [--keys 40] [--size 140x40] [--runs N --releases N --events N]

`box tui` runs in a pseudo-terminal, as at a person's. While it is idle the state is written to every ten seconds, as a
supervisor does. A key is a letter typed into the filter of the runs, which draws the table again; it is answered when
the letter is on the terminal. Slow: each snapshot takes a second of pure Python, which is the worst for the
interpreter's lock. Busy: a process on each core that never rests.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import platform
import pty
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from boxplat.box import Box

ENV = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"} | {
    "TERM": "xterm-256color",
    "COLORTERM": "truecolor",
}
SLOW = """
import sys, time
from boxplat.box import Box
read = Box.snapshot
def slowly(self):
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        sum(range(1000))
    return read(self)
Box.snapshot = slowly
from boxplat.cli import main
sys.argv[1:] = ["--project", sys.argv[1], "tui"]
main()
"""
STATES = ("succeeded", "failed", "cancelled")
LETTERS = "αβγδεζηθικλμνξοπρστυφχψω"


def fill(folder: Path, runs: int, releases: int, events: int) -> None:
    """A project of which nothing runs and that has a long past."""
    Box.init(folder, empty=True)
    box, now = Box(folder), time.time()
    with box.state.database.write() as tx:
        tx.connection.executemany(
            "insert into run (flow, name, state, params, options, created, started, ended, pathspec, tracking_run_id)"
            " values (?, ?, ?, ?, '{}', ?, ?, ?, ?, ?)",
            (
                (
                    f"flows/f{n % 7}.py",
                    f"Flow{n % 7}",
                    STATES[n % 3],
                    json.dumps({"epochs": str(n % 20), "note": "x" * 40}),
                    *(now - 9e5 + 60.0 * n + later for later in (0.0, 1.0, 31.0)),
                    f"Flow{n % 7}/{n}",
                    f"{n:032x}",
                )
                for n in range(runs)
            ),
        )
        tx.connection.executemany(
            "insert into release (endpoint, number, bento, model, model_version, feature_service, environment, created,"
            " created_by, state) values (?, ?, ?, 'delay', ?, 'delay_v1', '4be1', ?, 'ada/cli', 'retired')",
            ((f"endpoint{n % 5}", n // 5 + 1, f"delay:{n:08x}", n, now - 9e5 + n) for n in range(releases)),
        )
        tx.connection.executemany(
            "insert into event (at, subject, kind, data) values (?, ?, ?, ?)",
            (
                (now - 9e5 + 0.9 * n, f"run/{n % runs + 1}", "run.queued", json.dumps({"by": "ada/cli", "n": n}))
                for n in range(events)
            ),
        )


class Terminal:
    """A program in a pseudo-terminal, and what it has written there."""

    def __init__(self, argv: list[str], folder: Path, size: tuple[int, int]) -> None:
        self.began = time.monotonic()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            argv, cwd=folder, env=ENV, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        os.close(slave)
        self._written = bytearray()
        self._more = threading.Condition()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self._master, 65536):
                with self._more:
                    self._written += data
                    self._more.notify_all()

    def press(self, keys: str) -> None:
        """Type, and forget what was written until now."""
        with self._more:
            self._written.clear()
        os.write(self._master, keys.encode())

    def sees(self, text: str, patience: float = 30.0) -> float:
        """Seconds of the monotonic clock when `text` has been written."""
        with self._more:
            if not self._more.wait_for(lambda: text.encode() in self._written, patience):
                raise SystemExit(f"{text!r} was not seen in {patience:.0f} s:\n{bytes(self._written[-2000:])!r}")
            return time.monotonic()

    def leave(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        os.close(self._master)


@contextlib.contextmanager
def dashboard(folder: Path, size: tuple[int, int], slow: bool = False) -> Iterator[tuple[Terminal, float]]:
    """The dashboard with its first data shown, and the seconds that this took."""
    argv = ["-c", SLOW, str(folder)] if slow else ["-m", "boxplat", "--project", str(folder), "tui"]
    terminal = Terminal([sys.executable, *argv], folder, size)
    try:
        yield terminal, terminal.sees("run.queued") - terminal.began
    finally:
        terminal.leave()


def idle(folder: Path, size: tuple[int, int], seconds: float) -> tuple[float, float]:
    """Share of a core in percent, and MiB that are resident at the end."""
    state = Box(folder).state
    with dashboard(folder, size) as (terminal, _):
        process = psutil.Process(terminal.process.pid)
        until = time.monotonic() + 5
        before = process.cpu_times()
        while time.monotonic() < until + seconds:
            if time.monotonic() < until:
                before = process.cpu_times()
            time.sleep(1.0)
            if round(time.monotonic()) % 10 == 0:
                state.meta.set("bench", str(time.time()))
        now, took = process.cpu_times(), time.monotonic() - until
        return 100 * (now.user + now.system - before.user - before.system) / took, process.memory_info().rss / 2**20


def keys(folder: Path, size: tuple[int, int], count: int, slow: bool = False) -> list[float]:
    """Milliseconds from each key to its letter on the terminal."""
    times = []
    with dashboard(folder, size, slow) as (terminal, _):
        terminal.press("2")
        terminal.sees("Flow1")
        terminal.press("/")
        terminal.sees("leaves out")
        for number in range(count):
            time.sleep(0.13)
            letter = LETTERS[number % len(LETTERS)]
            began = time.monotonic()
            terminal.press(letter)
            times.append(1000 * (terminal.sees(letter) - began))
            # A deletion that is under way may take the next letter instead.
            terminal.press("\x7f")
            terminal.sees("leaves out")
    return times


@contextlib.contextmanager
def burning(processes: int) -> Iterator[None]:
    """Processes that never rest."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def said(title: str, times: list[float]) -> None:
    ordered = sorted(times)
    tail = ordered[min(len(ordered) - 1, round(0.95 * len(ordered)))]
    print(f"{title:34} median {statistics.median(times):4.0f} ms   95 % {tail:4.0f} ms   worst {ordered[-1]:4.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--keys", type=int, default=40)
    parser.add_argument("--size", default="140x40")
    for what, many in (("runs", 10_000), ("releases", 1_000), ("events", 1_000_000)):
        parser.add_argument(f"--{what}", type=int, default=many)
    given = parser.parse_args()
    columns, rows = given.size.split("x")
    size = int(columns), int(rows)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "box"
        fill(folder, given.runs, given.releases, given.events)
        starts = []
        for _ in range(6):
            with dashboard(folder, size) as (_, took):
                starts.append(took)
        print(f"start to first full frame          median {statistics.median(starts[1:]):.2f} s of 5 (warm)")
        if given.seconds:
            share, resident = idle(folder, size, given.seconds)
            print(f"idle for {given.seconds:.0f} s                      {share:.1f} % of a core, {resident:.0f} MiB")
        said("a key, nothing else to do", keys(folder, size, given.keys))
        said("a key while snapshots take 1 s", keys(folder, size, given.keys, slow=True))
        with burning(os.cpu_count() or 1):
            said("a key while every core is busy", keys(folder, size, given.keys))


main()
