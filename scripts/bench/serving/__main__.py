"""boxplat's server beside `bentoml serve` and a bare uvicorn echo: one service, one load generator, in turns.

usage: python scripts/bench/serving [--pairs 3] [--seconds 5] [--clients 1,32] [--apis asynchronous,threaded,batched]

Needs `wrk`. Compares the answers before it counts. A row is one API at one number of clients: requests a second, the
median and the 99th percentile of the time to the answer, answers that were none, processor time of the whole process
tree for each answer, resident memory of the tree.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

HERE = Path(__file__).parent
BODY = json.dumps({"x": [[round(n / 7, 3) for n in range(64)]]})
TOLD = {"boxplat": "boxplat", "bentoml": "`bentoml serve`", "echo": "uvicorn, bare echo"}


@dataclass(frozen=True)
class Figures:
    """One run; times in milliseconds, memory in MiB, processor time in microseconds an answer."""

    rate: float
    p50: float
    p99: float
    failed: int
    cpu_us: float
    rss: float


@dataclass(frozen=True)
class Server:
    process: subprocess.Popen[bytes]
    port: int

    def tree(self) -> list[psutil.Process]:
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]


@contextlib.contextmanager
def served(name: str, scratch: Path) -> Iterator[Server]:
    """A server on a free port, ended afterwards with all its children."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        # As the supervisor makes it; uvicorn does not set it on a socket that it is given.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listening.getsockname()[1]
        env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
        env |= {"BENTOML_HOME": str(scratch / name), "PROMETHEUS_MULTIPROC_DIR": str(scratch / f"{name}-metrics")}
        env |= {"BENTOML_DO_NOT_TRACK": "True", "OMP_NUM_THREADS": "1"}
        (scratch / name).mkdir()
        if name == "bentoml":
            listening.close()
        else:
            listening.listen(2048)
        argv = {
            "boxplat": ["-m", "boxplat.serving.worker", "service:Mlp", "--fd", str(listening.fileno())],
            "bentoml": ["-m", "bentoml", "serve", "service:Mlp", "--host", "127.0.0.1", "--port", str(port)],
            "echo": ["-m", "uvicorn", "echo:app", "--fd", str(listening.fileno()), "--no-access-log"],
        }[name]
        passed: Any = () if name == "bentoml" else (listening.fileno(),)
        quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        folder = HERE if name == "echo" else HERE / "mlp"
        process = subprocess.Popen([sys.executable, *argv], cwd=folder, env=env, pass_fds=passed, **quiet)
        server = Server(process, port)
        try:
            until_ready(server)
            yield server
        finally:
            for member in server.tree():
                member.kill()
            process.wait()


def until_ready(server: Server) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if answer(server, "asynchronous")[0] == 200:
                return
        time.sleep(0.2)
    raise SystemExit("a server did not get ready")


def answer(server: Server, api: str) -> tuple[int, bytes]:
    """Status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("POST", f"/{api}", BODY, {"content-type": "application/json"})
        found = connection.getresponse()
        return found.status, found.read()


def measured(server: Server, api: str, clients: int, seconds: int, script: Path) -> Figures:
    """One run of wrk."""
    load(server, api, clients, 1, script)
    before = cpu(server)
    text = load(server, api, clients, seconds, script)
    spent = cpu(server) - before
    number = re.search(r"(\d+) requests in", text)
    done = int(number[1]) if number else 0
    bad = sum(int(found) for found in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    rss = sum(member.memory_info().rss for member in server.tree()) / 2**20
    return Figures(
        float(rate[1]) if rate else 0.0, latency(text, 50), latency(text, 99), bad, 1e6 * spent / max(done, 1), rss
    )


def load(server: Server, api: str, clients: int, seconds: int, script: Path) -> str:
    plan = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}", "--latency", "-s", str(script)]
    url = f"http://127.0.0.1:{server.port}/{api}"
    return subprocess.run([*plan, url], capture_output=True, text=True, check=True).stdout


def latency(text: str, part: int) -> float:
    found = re.search(rf"{part}%\s+([\d.]+)(us|ms|s)", text)
    return float(found[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[found[2]] if found else float("nan")


def cpu(server: Server) -> float:
    return sum(sum(member.cpu_times()[:2]) for member in server.tree())


def table(found: dict[tuple[str, int], dict[str, list[Figures]]]) -> Iterator[str]:
    yield "| API, clients | server | requests/s | times `bentoml serve` | p50 ms | p99 ms | failed | CPU us | MiB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for (api, clients), servers in found.items():
        for name, runs in servers.items():
            base = servers["bentoml"]
            ratios = [one.rate / other.rate for one, other in zip(runs, base, strict=True)]
            each = f"{statistics.median(ratios):.1f} ({', '.join(f'{ratio:.1f}' for ratio in ratios)})"
            p50, p99, spent, rss = (
                statistics.median(getattr(one, field) for one in runs) for field in ("p50", "p99", "cpu_us", "rss")
            )
            failed = sum(one.failed for one in runs)
            rate = statistics.median(one.rate for one in runs)
            cells = [f"{api}, {clients}", TOLD[name], f"{rate:,.0f}", "" if name == "bentoml" else each]
            cells += [f"{p50:.2f}", f"{p99:.2f}", str(failed), f"{spent:.0f}", f"{rss:.0f}"]
            yield "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--clients", default="1,32")
    parser.add_argument("--apis", default="asynchronous,threaded,batched")
    asked = parser.parse_args()
    found: dict[tuple[str, int], dict[str, list[Figures]]] = {}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        script = Path(folder) / "post.lua"
        script.write_text(f'wrk.method="POST" wrk.headers["Content-Type"]="application/json" wrk.body=[==[{BODY}]==]')
        servers = {name: stack.enter_context(served(name, Path(folder))) for name in TOLD}
        for api in asked.apis.split(","):
            if answer(servers["boxplat"], api) != answer(servers["bentoml"], api):
                raise SystemExit(f"{api}: unequal answers")
            for clients in map(int, asked.clients.split(",")):
                case = found.setdefault((api, clients), {name: [] for name in servers})
                for _ in range(asked.pairs):
                    for name, server in servers.items():
                        case[name].append(measured(server, api, clients, asked.seconds, script))
                        print(api, clients, name, case[name][-1], file=sys.stderr)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
