"""Requests at a steady rate through the gateway while everything behind it changes; and what the gateway costs.

usage: python scripts/bench/gateway.py [--requests 20000] [--rate 200] [--rounds 5]     (0 requests, or 0 rounds: none)

A box of its own in a temporary folder, with one endpoint of two replicas. Requests are sent at their times whether or
not earlier ones are answered (an open loop), each once: nothing is tried again by the client. Meanwhile: a deploy,
splits, a shadow, a rollback, ten reconfigurations, `kill -9` of one of two replicas (of an endpoint whose requests may
not be repeated, then of one whose may), another deploy. Then the same process directly and through the gateway in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import signal
import statistics
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxplat.box import Box
from boxplat.core import processes
from boxplat.core.model import State
from boxplat.releases import gateway

SERVICE = """
import bentoml

CONSTANT = {constant}


@bentoml.service
class Toy:
    @bentoml.api
    def add(self, numbers: list[float]) -> dict:
        return {{"sum": sum(numbers) + CONSTANT}}
"""
SETTINGS = """
[project]
name = "gateway"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.toy]
bento = "bentos/toy"
port = 0
replicas = 2
timeout = 60.0
# A release that is killed by hand is not to lose its traffic for it.
watch = "1s"
"""
BODY = json.dumps({"numbers": [1.0] * 64}).encode()
HEAD = "POST /add HTTP/1.1\r\nHost: box\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
REQUEST = HEAD.format(len(BODY)).encode() + BODY
LATE_SECONDS = 60.0
Sent = tuple[float, float, int]


class Rate:
    """An open loop over kept connections; each request is (when it was sent, seconds, status or 0)."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.sent: list[Sent] = []

    async def run(self, rate: float, total: int) -> None:
        began = time.monotonic()
        tasks = []
        for number in range(total):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.append(asyncio.create_task(self._one()))
        await asyncio.gather(*tasks)

    async def _one(self) -> None:
        at, began = time.time(), time.monotonic()
        try:
            status = await asyncio.wait_for(self._exchange(), LATE_SECONDS)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            status = 0
        self.sent.append((at, time.monotonic() - began, status))

    async def _exchange(self) -> int:
        reader, writer = self._idle.pop() if self._idle else await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(REQUEST)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split(b" ", 2)[1])


def load(port: int, rate: float, total: int, out: Path) -> None:
    """The clients, in a process of their own."""
    loop = Rate(port)
    asyncio.run(loop.run(rate, total))
    out.write_text(json.dumps(loop.sent))


class Changes:
    """What happens behind the gateway, with the times of each."""

    def __init__(self, box: Box) -> None:
        self._box = box
        self.phases: list[tuple[str, float, float]] = []
        # From the signal until the process was gone, and its connections with it.
        self.killed: list[tuple[float, float]] = []

    def run(self) -> None:
        for what, step in (
            ("deploy of release 2", lambda: self.deploy(2)),
            ("split 1=50 2=50", lambda: self._box.split("toy", {1: 50, 2: 50})),
            ("split 1=90 2=10", lambda: self._box.split("toy", {1: 90, 2: 10})),
            ("split 1=100, shadow 2", lambda: self._box.split("toy", {1: 100}, shadow=2)),
            ("split 2=100", lambda: self._box.split("toy", {2: 100})),
            ("rollback", lambda: self._box.rollback("toy")),
            ("ten reconfigurations", self.reconfigure),
            ("kill -9, not repeatable", self.kill),
            ("repeatable from now on", lambda: self.settle(repeatable=True)),
            ("kill -9, repeatable", self.kill),
            ("deploy of release 3", lambda: self.deploy(3)),
        ):
            self._timed(what, step)

    def _timed(self, what: str, step: Callable[[], Any]) -> None:
        began = time.time()
        step()
        self.phases.append((what, began, time.time()))
        # What a change sets off (drain, stop) happens after it.
        time.sleep(1.0)

    def deploy(self, number: int) -> None:
        write_service(self._box.root, number)
        self._box.deploy("toy")

    def settle(self, **changed: Any) -> None:
        """As `box up` does after a change of boxplat.toml."""
        state, before = self._box.state, gateway.applied(self._box.state).at
        state.endpoints.settle("toy", asdict(self._box.settings.endpoints["toy"]) | changed)
        wait_for(lambda: gateway.applied(state).at > before, "the gateway takes it")

    def reconfigure(self) -> None:
        for number in range(10):
            self.settle(timeout=50.0 + number, in_flight=500 + number)

    def kill(self) -> None:
        """Kill one of the two replicas that have the requests, and wait until it is back."""
        rows = [row for row in self._box.state.services.all() if row.kind == "release" and row.pid]
        live = {f"toy@{number}" for number in self._box.state.releases.traffic("toy")}
        victim = next(row for row in rows if row.name in live)
        pid, at = victim.pid or 0, time.time()
        ticks = processes.start_ticks(pid)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not processes.alive(pid, ticks), "the process is gone")
        self.killed.append((at, time.time() + 0.02))
        wait_for(lambda: self._is_back(victim.name, pid), "the replica is back")

    def _is_back(self, name: str, pid: int) -> bool:
        rows = self._box.state.services.all()
        return any(row.name == name and row.pid != pid and row.state is State.RUNNING for row in rows)


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def write_service(root: Path, constant: int) -> None:
    folder = root / "bentos" / "toy"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "service.py").write_text(SERVICE.format(constant=constant))


def told(sent: list[Sent], changes: Changes) -> None:
    """What became of the requests, in all and by what happened meanwhile."""
    statuses = Counter(status for _, _, status in sent)
    failed = [(at, took, status) for at, took, status in sent if status != 200]
    print(f"\n{len(sent)} requests, statuses {dict(statuses)}")
    print(f"{'while':28} {'seconds':>8} {'requests':>9} {'failed':>7} {'p50 ms':>8} {'p99 ms':>8} {'longest ms':>11}")
    ends = [began for _, began, _ in changes.phases[1:]] + [float("inf")]
    for (what, began, ended), end in zip(changes.phases, ends, strict=True):
        inside = [one for one in sent if began <= one[0] < end]
        times = sorted(1000 * took for _, took, _ in inside) or [0.0]
        lost = sum(1 for one in inside if one[2] != 200)
        p99 = times[min(len(times) - 1, int(0.99 * len(times)))]
        p50 = statistics.median(times)
        print(f"{what:28} {ended - began:8.2f} {len(inside):9} {lost:7} {p50:8.2f} {p99:8.1f} {times[-1]:11.1f}")
    in_flight = sum(
        1 for at, took, _ in failed if any(at <= gone and kill <= at + took for kill, gone in changes.killed)
    )
    print(
        f"failed: {len(failed)}, of which in flight on a process killed: {in_flight}; others: {len(failed) - in_flight}"
    )


def wrk(port: int, clients: int) -> tuple[float, float, float]:
    """(requests/s, p50, p99 in milliseconds) of two seconds in a closed loop."""
    script = Path(tempfile.gettempdir()) / f"gateway-{os.getpid()}.lua"
    body = BODY.decode().replace('"', '\\"')
    script.write_text(
        f'wrk.method = "POST"\nwrk.body = "{body}"\nwrk.headers["Content-Type"] = "application/json"\n'
        "done = function(s, l, r) io.write(string.format('\\nFOUND %f %f %f %d\\n', s.requests / s.duration * 1e6, "
        "l:percentile(50) / 1000, l:percentile(99) / 1000, s.errors.status + s.errors.read + s.errors.connect)) end"
    )
    url = f"http://127.0.0.1:{port}/add"
    said = subprocess.run(
        ["wrk", "-t1", f"-c{clients}", "-d2s", "-s", str(script), url], capture_output=True, text=True, check=True
    ).stdout
    script.unlink()
    found = re.search(r"FOUND (\S+) (\S+) (\S+) (\d+)", said)
    if found is None or found[4] != "0":
        raise SystemExit(f"wrk: {said}")
    return float(found[1]), float(found[2]), float(found[3])


def latency(direct: int, through: int, rounds: int) -> None:
    """The same process directly and through the gateway, in turn; medians of the rounds."""
    print(f"\n{'clients':>7} {'':10} {'requests/s':>11} {'p50 ms':>8} {'p99 ms':>8}")
    for clients in (1, 16):
        found: dict[str, list[tuple[float, float, float]]] = {"direct": [], "gateway": []}
        for _ in range(rounds):
            found["direct"].append(wrk(direct, clients))
            found["gateway"].append(wrk(through, clients))
        medians = {
            way: [statistics.median(column) for column in zip(*rows, strict=True)] for way, rows in found.items()
        }
        for way, (rate, p50, p99) in medians.items():
            print(f"{clients:7} {way:10} {rate:11.0f} {p50:8.3f} {p99:8.3f}")
        added = [medians["gateway"][i] - medians["direct"][i] for i in (1, 2)]
        print(f"{clients:7} {'added':10} {'':11} {added[0]:8.3f} {added[1]:8.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--rounds", type=int, default=5)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "box"
        root.mkdir()
        (root / "boxplat.toml").write_text(SETTINGS)
        write_service(root, 1)
        box = Box(root, by="bench")
        box.up(detach=True)
        try:
            box.wait(timeout=120)
            box.deploy("toy")
            port = int(gateway.applied(box.state).endpoints["toy"].url.rpartition(":")[2])
            if flags.rounds:
                direct = next(row.port for row in box.state.services.all() if row.name == "toy@1")
                latency(direct or 0, port, flags.rounds)
            if flags.requests:
                measure(box, port, flags.requests, flags.rate, Path(scratch) / "sent.json")
        finally:
            box.down()


def measure(box: Box, port: int, requests: int, rate: float, out: Path) -> None:
    clients = multiprocessing.get_context("spawn").Process(target=load, args=(port, rate, requests, out))
    clients.start()
    changes = Changes(box)
    try:
        changes.run()
        early = clients.is_alive()
        clients.join()
    finally:
        clients.kill()
    told([(at, took, status) for at, took, status in json.loads(out.read_text())], changes)
    if not early:
        print("the requests had ended before the changes had: lower --rate or raise --requests")


if __name__ == "__main__":
    main()
