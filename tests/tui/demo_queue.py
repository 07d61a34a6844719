"""A line of runs on a machine with one device, as the ledger would show it."""

from __future__ import annotations

from collections.abc import Iterable

from boxplat.core.claims import Capacity, Claim, Device, Priority
from boxplat.core.model import ServiceStatus
from boxplat.runs.queue import Line, Place
from boxplat.runs.shares import Occupancy, shares

GIB = 2**30
WHY = "needs 14.0 GiB of memory, 5.6 GiB of 23.0 GiB are free; run/14/fit/5 has 14.0 GiB"
DEVICE = Device("GPU-5b1e", "NVIDIA H200", 139 * GIB, foreign=GIB // 5)


def place(owner: str, state: str, claim: Claim, since: float, **more: object) -> Place:
    run = int(owner.split("/")[1]) if owner.startswith("run/") else None
    return Place(owner, run, state, claim.priority, claim, since, **more)  # type: ignore[arg-type]


def places(now: float) -> tuple[Place, ...]:
    serving, batch = Claim(0, GIB, 1, 2 * GIB, Priority.SERVING), Claim(1, 14 * GIB)
    fit = Claim(1, 8 * GIB, 1, 9 * GIB, Priority.INTERACTIVE, 180)
    on = ("GPU-5b1e",)
    return (
        place("service/delay@7", "running", serving, now - 8040, used=GIB // 3, vram_used=2 * GIB, devices=on),
        place(
            "run/14/fit/5", "running", fit, now - 40, estimate=now + 140, used=2 * GIB, vram_used=6 * GIB, devices=on
        ),
        place("run/14/fit/6", "waiting", fit, now - 12, why="waits for run/14/fit/5", estimate=now + 140),
        place("run/15", "queued", batch, now - 31, why=WHY, estimate=now + 320),
        place("run/16", "held", Claim(1), now - 90, why="held   (go on: box queue release 16)"),
        place("run/17", "queued", batch, now - 7, why="needs 1 whole GPU(s): none is free"),
    )


class FakeQueue:
    """Gives out `line`, divided as a real one would be."""

    def __init__(self, now: float) -> None:
        self.line = Line(now, Capacity(8, 23 * GIB, (DEVICE,), 3 * GIB), places(now))
        self.fresh = 0.0

    def machine(self, services: Iterable[ServiceStatus], fresh: float) -> Occupancy:
        self.fresh = fresh
        return Occupancy(self.line, shares(self.line, services))


def schedules(now: float) -> dict[str, object]:
    """What `box schedule --json` prints."""

    def one(name: str, state: str, **more: object) -> dict[str, object]:
        rest = {"cron": "", "zone": "", "events": [], "come": [], "next": None, "last": None, "run": None}
        known = {"missed": "last", "overlap": False, "after": [], "problem": None}
        return {"flow": f"flows/{name.lower()}.py", "name": name, "state": state, **rest, **known, **more}

    trouble = {
        "error": "@schedule of BrokenFlow cannot be read",
        "why": "its cron is computed",
        "fix": "write the text itself in flows/brokenflow.py",
        "log": None,
        "code": 2,
    }
    unknown = {**trouble, "error": "schedules.Nightly names no flow", "fix": "correct it in boxplat.toml"}
    return {
        "schedules": [
            one("NightlyFlow", "on", cron="30 2 * * *", zone="Europe/Berlin", next=now + 7300, last=now - 79000, run=8),
            one("RetrainFlow", "paused", events=["features.materialized", "data.ready"], come=["data.ready"]),
            one("BrokenFlow", "refused", problem=trouble),
        ],
        "problems": [unknown, trouble],
    }
