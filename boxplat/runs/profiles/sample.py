"""Watching a run's tasks from its launcher: what their child processes use, and what a killed task had used.

A task reports its own exact figures when it ends (the recorder in Metaflow). Samples add what it cannot know: memory
that its children held beside it, use of a GPU, and all of it where the task was killed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from boxplat.core.profile import Profile
from boxplat.runs.profiles import measure
from boxplat.runs.profiles.attempt import Watched
from boxplat.runs.profiles.devices import DeviceUse, GpuUse
from boxplat.runs.profiles.energy import CpuEnergy
from boxplat.runs.spool import Record

# Seconds over which the number of busy cores is taken.
WINDOW = 1.0
# Reading how pages are shared takes 15 us of CPU per MiB: at most this share of a core goes into it.
_SHARE = 0.05


class Sampler:
    """Follows the tasks that the records tell of.

    Args:
        run_id: the box's number of the run.
        watts: of one busy core, where the machine does not measure its energy.
        gpus: use of the devices; by default what the driver shows.
    """

    def __init__(self, run_id: int, watts: float, gpus: GpuUse | None = None) -> None:
        self._run_id = run_id
        self._energy = CpuEnergy(watts)
        self._gpus = gpus or GpuUse()
        self._watched: dict[tuple[str, str], Watched] = {}
        self._costly_after = 0.0

    def take(self, records: Iterable[Record]) -> list[Profile]:
        """Hear of tasks that began or ended; returns the profiles of those that ended."""
        done = []
        for record in records:
            if record["kind"] == "start":
                done += self._ended((record["step"], record["task"]), record["at"])
                self._began(record)
            elif record["kind"] == "end":
                done += self._ended((record["step"], record["task"]), record["at"], record)
        return done

    def look(self, now: float | None = None) -> None:
        """Take one sample of every task that runs."""
        now = time.monotonic() if now is None else now
        self._energy.look()
        roots = frozenset(task.root for task in self._watched.values())
        for task in self._watched.values():
            self._sample(task, roots - {task.root}, now)
        self._together(now)
        devices = self._gpus.look(now)
        if devices:
            for task in self._watched.values():
                _on_devices(task, devices)

    def close(self) -> list[Profile]:
        """The profiles of the tasks that will never tell of their end."""
        return [profile for key in list(self._watched) for profile in self._ended(key, time.time())]

    def _began(self, record: Record) -> None:
        pid = record.get("pid")
        known = pid if type(pid) is int and pid > 0 else 0
        self._watched[record["step"], record["task"]] = Watched(record, known, measure.start(known) or 0.0)

    def _ended(self, key: tuple[str, str], over: float, end: Record | None = None) -> list[Profile]:
        task = self._watched.pop(key, None)
        if task is None:
            return []
        return [task.profile(self._run_id, end, over, self._energy.per_cpu_second())]

    def _sample(self, task: Watched, apart: frozenset[int], now: float) -> None:
        if measure.usage(task.root, task.ticks) is None:
            return
        for pid in measure.members(task.root, apart):
            if pid not in task.members:
                task.members[pid] = measure.start(pid) or 0.0
        # One that was seen below the task stays the task's when its parent leaves it behind.
        found = {pid: usage for pid, ticks in task.members.items() if (usage := measure.usage(pid, ticks)) is not None}
        task.members = {pid: task.members[pid] for pid in found}
        task.usage = task.usage.most(measure.total(found.values()))
        task.peak = max(task.peak, measure.peak(task.root))
        began, spent = task.mark
        if now - began >= WINDOW:
            if began:
                task.cores = max(task.cores, (task.usage.cpu_seconds - spent) / (now - began))
            task.mark = (now, task.usage.cpu_seconds)

    def _together(self, now: float) -> None:
        """What tasks and their children hold: pages that they share count once."""
        if now < self._costly_after:
            return
        began = time.thread_time()
        for task in self._watched.values():
            if len(task.members) > 1:
                task.together = max(task.together, measure.together(task.members))
        self._costly_after = now + (time.thread_time() - began) / _SHARE


def _on_devices(task: Watched, devices: Mapping[int, DeviceUse]) -> None:
    held: dict[str, int] = {}
    for use in (devices[pid] for pid in task.members if pid in devices):
        task.gpu_seconds += use.seconds
        task.gpu_joules += use.joules
        for uuid, size in use.memory.items():
            held[uuid] = held.get(uuid, 0) + size
    for uuid, size in held.items():
        task.vram[uuid] = max(task.vram.get(uuid, 0), size)
