"""One attempt at a task while it is watched, and its profile when it is over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.claims import Priority
from boxplat.core.errors import BoxError
from boxplat.core.profile import Profile
from boxplat.runs import requests
from boxplat.runs.profiles.measure import Usage
from boxplat.runs.spool import Record

# SQLite's integers end there.
_ENDLESS = 2**63
# What a step may ask for, by Metaflow's word and ours.
_ASKS = {"cpu": "cores", "memory": "memory", "gpu": "gpus", "vram": "vram"}


@dataclass(slots=True)
class Watched:
    """The first record of an attempt, and the most that was seen of it.

    `peak` is of the task's own process, `together` of that with its children, `vram` by device; sizes in bytes. `cores`
    is the most that was busy over a second. `members` are its processes, with their start in ticks.
    """

    start: Record
    root: int
    ticks: float
    members: dict[int, float] = field(default_factory=dict)
    peak: int = 0
    together: int = 0
    usage: Usage = field(default_factory=Usage)
    cores: float = 0.0
    mark: tuple[float, float] = (0.0, 0.0)
    vram: dict[str, int] = field(default_factory=dict)
    gpu_seconds: float = 0.0
    gpu_joules: float = 0.0

    def profile(self, run_id: int, end: Record | None, over: float, joules: float) -> Profile:
        """All that is known of the attempt.

        Args:
            end: its last record; None when it could not write one.
            over: when it was over at the latest (seconds since the epoch).
            joules: energy of a CPU second.
        """
        told = _numbers((end or {}).get("profile"))
        use = self.usage.most(_told_usage(told))
        began = float(self.start["at"])
        seconds = max(0.0, over - began)
        memory, inherited = self._memory(told)
        vram = max(int(told.get("vram", 0)), *self.vram.values(), 0)
        return Profile(
            run_id=run_id,
            step=self.start["step"],
            task=self.start["task"],
            attempt=self.start["attempt"],
            ok=bool(end and end["ok"]),
            started=began,
            seconds=seconds,
            memory=memory,
            inherited=inherited,
            vram=vram,
            gpus=max(len(self.vram), int(vram > 0)),
            cpu_seconds=use.cpu_seconds,
            gpu_seconds=self.gpu_seconds,
            # What took less than a second to be seen may have started before its step did.
            cores=self.cores or min(1.0, use.cpu_seconds / seconds if seconds else 1.0),
            read_bytes=use.read_bytes,
            write_bytes=use.write_bytes,
            disk_read=use.disk_read,
            disk_write=use.disk_write,
            cpu_joules=use.cpu_seconds * joules,
            gpu_joules=self.gpu_joules,
            asked=asked(self.start.get("asked")),
            exact=bool(told),
        )

    def _memory(self, told: Mapping[str, float]) -> tuple[int, int]:
        """The peak of its own, and what it shared with the process that it was forked from."""
        peak = max(self.peak, int(told.get("peak", 0)))
        if told:
            inherited = int(told.get("inherited", 0))
        else:
            inherited = int(_numbers(self.start).get("resident", 0)) if self.start.get("forked") else 0
        # Of a child that no sample saw; until it calls exec a child counts what its parent has.
        unseen = int(told.get("children_peak", 0))
        alone = max(0, peak - inherited)
        return max(alone, self.together, unseen if unseen > peak else 0), inherited


def asked(given: object) -> dict[str, float]:
    """What a step asks for by itself, in cores, bytes and devices; nothing where that cannot be understood."""
    if not isinstance(given, Mapping):
        return {}
    try:
        claim = requests.claim(given, {}, Priority.BATCH)
    except (BoxError, OverflowError):
        return {}
    whole: dict[str, float] = {"cores": claim.cores, "memory": claim.memory, "gpus": claim.gpus, "vram": claim.vram}
    return {ours: whole[ours] for theirs, ours in _ASKS.items() if theirs in given}


def _told_usage(told: Mapping[str, float]) -> Usage:
    return Usage(
        told.get("cpu_seconds", 0.0),
        int(told.get("read_bytes", 0)),
        int(told.get("write_bytes", 0)),
        int(told.get("disk_read", 0)),
        int(told.get("disk_write", 0)),
    )


def _numbers(table: Any) -> dict[str, float]:
    """What in a table of the recorder can be a measurement."""
    if not isinstance(table, Mapping):
        return {}
    return {name: value for name, value in table.items() if isinstance(value, int | float) and 0 <= value < _ENDLESS}
