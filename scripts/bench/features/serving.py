"""Feature servers over HTTP: boxplat's beside `feast serve`, on the same 100,000 entities of 10 features, in turns.

16 clients with kept connections. They are `wrk` where it is installed (it leaves most of a core to the server), else
asyncio ones in a process of their own; the table says which. Then 100,000 requests to boxplat's server while loads
replace the rows under it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from online import BOX, ENTITIES, fill, load, repository
from table import Row

CLIENTS, SECONDS, REQUESTS = 16, 8, 100_000
PATH = "/get-online-features"
COUNTS = (1, 100)
FEAST = (sys.executable, "-m", "feast.cli.cli", "serve", "--port", "{port}", "--no-access-log")
COMMANDS = {
    "boxplat": (sys.executable, "-m", "boxplat.features.server.main", "{repo}", "--port", "{port}"),
    "feast serve": FEAST,
    "feast serve, 2 workers, never restarted": (*FEAST, "--workers", "2", "--max-requests", "0"),
}
WRK = """
wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
function request()
  local keys = {}
  for n = 1, %d do keys[n] = math.random(0, %d) end
  return wrk.format(nil, nil, nil, '{"feature_service":"whole","entities":{"key":[' .. table.concat(keys, ",") .. ']}}')
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\n{"requests":%%d,"seconds":%%f,"failed":%%d,"p50":%%f,"p99":%%f}\\n', summary.requests,
    summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """What clients saw: p50 and p99 in ms."""

    requests: int
    seconds: float
    failed: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        return (self.requests - self.failed) / self.seconds


def run(data: Path, pairs: int) -> list[Row]:
    """Rows of the table: requests a second, one figure for each turn."""
    source = data / "rows" / "clean_100k.parquet"
    home = Path(tempfile.mkdtemp(prefix="serving-"))
    try:
        stock, ours = repository(home / "stock", "sqlite", source), repository(home / "box", BOX, source)
        fill(stock, source)
        load(ours, source)
        found: dict[tuple[int, str], list[Load]] = {}
        peaks: dict[str, float] = {}
        same: list[Any] = []
        for pair in range(pairs):
            for name in COMMANDS:
                with server(name, home / ("box" if name == "boxplat" else "stock")) as (port, process):
                    if pair == 0:
                        same.append(values(port))
                        assert same[0] == same[-1], f"{name} answers differently"
                    for count in COUNTS:
                        found.setdefault((count, name), []).append(clients(port, count, SECONDS))
                    peaks[name] = max(peaks.get(name, 0.0), memory(process))
        return [*compared(found, peaks), replaced(home / "box", ours, source)]
    finally:
        shutil.rmtree(home)


@contextmanager
def server(name: str, repo: Path) -> Iterator[tuple[int, psutil.Process]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    argv = [word.format(port=port, repo=repo) for word in COMMANDS[name]]
    with open(repo / "server.log", "wb") as log:
        process = subprocess.Popen(argv, cwd=repo, env=env, stdout=log, stderr=log)
    try:
        for _ in range(1200):
            try:
                values(port)
                break
            except OSError:
                time.sleep(0.1)
        yield port, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def body(keys: list[int]) -> bytes:
    return json.dumps({"feature_service": "whole", "entities": {"key": keys}}).encode()


def values(port: int) -> dict[str, Any]:
    """Features of 200 keys by name: Feast's order of features differs from process to process."""
    asked = body(random.Random(5).sample(range(ENTITIES), 200))
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", asked, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found = json.load(answer)
    return {n: r["values"] for n, r in zip(found["metadata"]["feature_names"], found["results"], strict=True)}


def memory(process: psutil.Process) -> float:
    """Resident MB of a process and its children."""
    return sum(one.memory_info().rss for one in [process, *process.children(recursive=True)]) / 1e6


def clients(port: int, count: int, seconds: float) -> Load:
    """Requests for `count` random entities each, as fast as they are answered."""
    if shutil.which("wrk") is None:
        asked = [sys.executable, __file__, str(port), str(count), str(seconds)]
    else:
        script = Path(tempfile.gettempdir()) / f"boxplat-wrk-{os.getpid()}-{count}.lua"
        script.write_text(WRK % (count, ENTITIES - 1))
        plan = ["-t1", f"-c{CLIENTS}", f"-d{seconds:g}s", "--timeout", "10s"]
        asked = ["wrk", *plan, "-s", str(script), f"http://127.0.0.1:{port}{PATH}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    return Load(**json.loads(done.stdout.strip().splitlines()[-1]))


def compared(found: dict[tuple[int, str], list[Load]], peaks: dict[str, float]) -> Iterator[Row]:
    tool = "wrk" if shutil.which("wrk") else "asyncio clients"
    for count in COUNTS:
        own = [one.rate for one in found[count, "boxplat"]]
        for name in COMMANDS:
            loads = found[count, name]
            rates = tuple(one.rate for one in loads)
            ratios = tuple(a / b for a, b in zip(own, rates, strict=True)) if name != "boxplat" else ()
            slow = ", ".join(f"{one.p50:.1f}/{one.p99:.1f}" for one in loads)
            note = f"p50/p99 {slow} ms; {sum(one.failed for one in loads)} failed; {tool}"
            case = f"{count} entities a request, {CLIENTS} clients"
            yield Row("Online reads over HTTP", case, name, rates, "requests/s", ratios, peaks[name], note)


def replaced(repo: Path, store: Any, source: Path) -> Row:
    """At least `REQUESTS` requests while the view is loaded anew again and again."""
    over, loads, seen = threading.Event(), 0, list[Load]()

    def again() -> None:
        nonlocal loads
        while not over.is_set():
            load(store, source)
            loads += 1

    with server("boxplat", repo) as (port, process):
        loader = threading.Thread(target=again)
        loader.start()
        while sum(one.requests for one in seen) < REQUESTS:
            seen.append(clients(port, 1, 10))
        over.set()
        loader.join()
        peak = memory(process)
    total, failed = sum(one.requests for one in seen), sum(one.failed for one in seen)
    note = f"{total:,} requests, {failed} failed, {loads} loads of 3 views; worst p99 {max(o.p99 for o in seen):.1f} ms"
    rates = tuple(one.rate for one in seen)
    return Row(
        "Online reads over HTTP",
        "1 entity, while loads replace the rows",
        "boxplat",
        rates,
        "requests/s",
        (),
        peak,
        note,
    )


async def one_client(port: int, count: int, until: float, times: list[float]) -> int:
    """Requests over one connection; returns how many failed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed, choose = 0, random.Random()
    while time.perf_counter() < until:
        asked = body([choose.randrange(ENTITIES) for _ in range(count)])
        head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: "
        began = time.perf_counter()
        writer.write(f"{head}{len(asked)}\r\n\r\n".encode() + asked)
        lines = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        await reader.readexactly(length)
        times.append((time.perf_counter() - began) * 1e3)
        failed += b" 200 " not in lines[0]
    writer.close()
    return failed


async def asyncio_clients(port: int, count: int, seconds: float) -> Load:
    times: list[float] = []
    began = time.perf_counter()
    asked = (one_client(port, count, began + seconds, times) for _ in range(CLIENTS))
    # A connection that breaks is one failed request.
    failed = [
        1 if isinstance(one, BaseException) else one for one in await asyncio.gather(*asked, return_exceptions=True)
    ]
    taken, times = time.perf_counter() - began, sorted(times)
    return Load(len(times), taken, sum(failed), times[len(times) // 2], times[int(len(times) * 0.99)])


if __name__ == "__main__":
    made = asyncio.run(asyncio_clients(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
    print(json.dumps(made.__dict__))
