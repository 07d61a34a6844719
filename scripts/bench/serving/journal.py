"""What the prediction log costs a server, without a server: a loop that works as long as a request takes and notes it.

usage: python scripts/bench/serving/journal.py [--work 30] [--seconds 3] [--pairs 5] [--folder DIR]

The loop also makes a call of the kernel for each request, as a server does for each answer, because that is where
threads change. Loops with the log and without it take turns; the ratio of each pair is what counts. `note` alone is
timed too, the log's thread by its own CPU time, and the compaction by its process's.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from boxplat.serving.log import annotation
from boxplat.serving.log.annotation import annotate
from boxplat.serving.log.journal import Journal

PLAIN = json.dumps([[round(i * 0.123456789, 6) for i in range(64)]]).encode()
FEATURES = {f"feature_{i}": i * 1.1 for i in range(20)}
Note = Callable[[Journal, int], None]


def plain(log: Journal, number: int) -> None:
    log.note(number, time.time_ns(), 400_000, "predict", 200, 3, PLAIN, b"[[0.123456789]]")


def annotated(log: Journal, number: int) -> None:
    slip = annotation.opened()
    annotate(keys={"carrier": "UA", "flight": number}, features=FEATURES, ages={"view": 61.5}, predictions=0.25)
    log.note(number, time.time_ns(), 400_000, "predict", 200, 3, PLAIN, b"[[0.123456789]]", slip)


def nothing(_: Journal, __: int) -> None:
    """The loop without a log."""


def note_ns(folder: Path, note: Note, count: int = 100_000) -> float:
    """Nanoseconds of CPU of one note, the thread not running; a second's worth waits."""
    log = Journal(folder)
    used = 0.0
    for first in range(0, count, 10_000):
        began = time.thread_time()
        for number in range(first, first + 10_000):
            note(log, number)
        used += time.thread_time() - began
        log.flush()
    return used / count * 1e9


def loop(log: Journal, note: Note, work: Callable[[], None], seconds: float) -> tuple[float, float]:
    """Requests in a second, and CPU seconds of a request in all threads."""
    done, answers = 0, os.open("/dev/null", os.O_WRONLY)
    used, began = time.process_time(), time.perf_counter()
    while time.perf_counter() < began + seconds:
        work()
        os.write(answers, b"answer")
        note(log, done)
        done += 1
    took, used = time.perf_counter() - began, time.process_time() - used
    os.close(answers)
    return done / took, used / done


def working(microseconds: float) -> Callable[[], None]:
    """Python that takes about so long."""
    began = time.perf_counter()
    for _ in range(1000):
        sum(range(100))
    turns = max(1, int(microseconds / ((time.perf_counter() - began) / 1000 * 1e6)))

    def work() -> None:
        for _ in range(turns):
            sum(range(100))

    return work


def paired(folder: Path, note: Note, asked: argparse.Namespace) -> None:
    work = working(asked.work)
    ratios, cpu, costs = [], [], []
    for pair in range(asked.pairs):
        without = loop(Journal(folder / "idle"), nothing, work, asked.seconds)
        log = Journal(folder / f"{note.__name__}-{pair}")
        log.start()
        thread = next(thread for thread in threading.enumerate() if thread.name == "prediction-log")
        having = loop(log, note, work, asked.seconds)
        used = time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))
        log.stop()
        costs.append(used / (having[0] * asked.seconds) * 1e6)
        ratios.append(having[0] / without[0])
        cpu.append(having[1] / without[1])
        print(
            f"  {without[0]:9,.0f}/s without, {having[0]:9,.0f}/s with: {ratios[-1]:.3f}; CPU {cpu[-1]:.3f}", flush=True
        )
    middle = [statistics.median(values) for values in (ratios, cpu, costs)]
    shown = f"requests/s {middle[0]:.3f}, CPU {middle[1]:.3f} of without; thread {middle[2]:.2f} us a record"
    print(f"{note.__name__}: {shown}")


def compaction(folder: Path) -> None:
    for part in sorted(folder.glob("*-0")):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        size = sum(path.stat().st_size for path in part.glob("*.spool"))
        subprocess.run([sys.executable, "-m", "boxplat.serving.log.compact", str(part)], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        made = sum(path.stat().st_size for path in part.glob("*.parquet"))
        print(f"compaction of {part.name}: {size / 2**20:.0f} MiB to {made / 2**20:.1f} MiB in {used:.2f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=float, default=30, help="microseconds of Python for each request")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as scratch:
        folder = Path(scratch)
        for note in (plain, annotated):
            print(f"one note, {note.__name__}: {note_ns(folder / 'unused', note):.0f} ns")
        for note in (plain, annotated):
            paired(folder, note, asked)
        compaction(folder)


if __name__ == "__main__":
    main()
