"""Closed-loop load by wrk: each client asks again as soon as it is answered."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from contenders import Way

# A request that takes longer counts as failed.
TIMEOUT_SECONDS = 10
_SCRIPT = """
local file = io.open({body}, "rb")
wrk.method = "POST"
wrk.body = file:read("*a")
file:close()
{headers}
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "\\nFOUND {{\\"requests\\": %d, \\"us\\": %d, \\"p50\\": %f, \\"p99\\": %f, \\"longest\\": %f, ",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max))
  io.write(string.format(
    "\\"refused\\": %d, \\"broken\\": %d, \\"late\\": %d}}\\n", e.status, e.connect + e.read + e.write, e.timeout))
end
"""


@dataclass(frozen=True)
class Found:
    """What wrk counted.

    Attributes:
        rate: good answers a second.
        done: answers of any status.
        p50, p99, longest: milliseconds to the answer.
        refused: answers of status 400 and above.
        broken: connections that could not be made, read or written.
        late: requests without an answer within `TIMEOUT_SECONDS`.
    """

    rate: float
    done: int
    p50: float
    p99: float
    longest: float
    refused: int
    broken: int
    late: int

    @property
    def failed(self) -> int:
        return self.refused + self.broken + self.late


def load(port: int, way: Way, clients: int, seconds: int, scratch: Path, cores: set[int] | None = None) -> Found:
    """One run of wrk, on one thread."""
    body, script = scratch / "wrk.body", scratch / "wrk.lua"
    body.write_bytes(way.body)
    headers = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(it)}" for name, it in way.headers.items())
    script.write_text(_SCRIPT.format(body=json.dumps(str(body)), headers=headers))
    pin = ["taskset", "-c", ",".join(map(str, sorted(cores)))] if cores else []
    plan = ["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", f"--timeout={TIMEOUT_SECONDS}s", "-s", str(script)]
    told = subprocess.run([*pin, *plan, f"http://127.0.0.1:{port}{way.path}"], capture_output=True, text=True)
    lines = [line for line in told.stdout.splitlines() if line.startswith("FOUND ")]
    if not lines:
        raise SystemExit(f"wrk: {told.stdout}{told.stderr}")
    found = json.loads(lines[0].removeprefix("FOUND "))
    good = found["requests"] - found["refused"]
    p50, p99, longest = (found[name] / 1000 for name in ("p50", "p99", "longest"))
    errors = (found[name] for name in ("refused", "broken", "late"))
    return Found(1e6 * good / found["us"], found["requests"], p50, p99, longest, *errors)
