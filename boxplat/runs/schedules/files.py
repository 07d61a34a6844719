"""What the flow files of a project say of their own start, read again only where a file has changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from boxplat.adapters import flows, schedules
from boxplat.adapters.schedules import Awaited, Starts
from boxplat.core.errors import BoxError
from boxplat.core.state import StateStore
from boxplat.runs.code import own_files
from boxplat.runs.schedules.checking import refusals

# Flows of tests are not meant to start by themselves.
_TESTS = frozenset({"test", "tests"})
_SIGNS = (b"schedule", b"trigger")


@dataclass(frozen=True, slots=True)
class Found:
    """A flow file; `flow` is its path below the project, `name` the flow's class (the file's, where it is broken)."""

    flow: str
    name: str
    starts: Starts
    problem: BoxError | None = None

    @property
    def watched(self) -> bool:
        """Whether it is meant to start by itself."""
        return bool(self.problem or self.starts.times or self.starts.events)

    @property
    def awaited(self) -> Mapping[str, Awaited]:
        """The events that it waits for, by name."""
        return {event.name: event for event in self.starts.events}

    @property
    def why(self) -> str:
        """Why it cannot start by itself; empty where it can."""
        return f"{self.problem.what}: {self.problem.why}" if self.problem else ""

    @property
    def spec(self) -> str:
        """What starts it, as text that changes with it."""
        times = self.starts.times
        parts = [f"{times.text} {times.zone}"] if times else []
        if self.starts.events:
            parts.append(" and ".join(event.name for event in self.starts.events))
        return "; ".join(parts)


class Files:
    """The flow files below a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._read: dict[Path, tuple[tuple[int, int, int], Found | None]] = {}
        self._found: dict[str, Found] = {}

    def look(self) -> Mapping[str, Found]:
        """Every flow file by its path; the same object as before where nothing has changed."""
        before, self._read = self._read, {}
        changed = False
        for path in own_files(self._root):
            if path.suffix != ".py" or _TESTS & {*path.relative_to(self._root).parts[:-1]}:
                continue
            try:
                status = path.stat()
            except OSError:
                continue  # a link that leads nowhere, or a file that vanished
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = before.get(path)
            if known is None or known[0] != stamp:
                known = (stamp, _read(path, str(path.relative_to(self._root))))
                changed = True
            self._read[path] = known
        if changed or before.keys() != self._read.keys():
            self._found = _checked({found.flow: found for _, found in self._read.values() if found is not None})
        return self._found


def declare(state: StateStore, found: Mapping[str, Found], now: float) -> None:
    """Make what the files say what holds; whatever is new counts from `now` on."""
    rows = {flow: (one.name, one.spec, one.why) for flow, one in found.items() if one.watched}
    known = {flow: (row.name, row.spec, row.problem) for flow, row in state.schedules.all().items() if row.present}
    if rows != known:
        state.schedules.settle(rows, now)


def _checked(found: Mapping[str, Found]) -> dict[str, Found]:
    starts = {one.flow: (one.name, one.starts) for one in found.values() if one.problem is None}
    wrong = refusals(starts)
    return {flow: replace(one, problem=wrong[flow]) if flow in wrong else one for flow, one in sorted(found.items())}


def _read(path: Path, flow: str) -> Found | None:
    """What a file says; None for one that is no flow."""
    try:
        source = path.read_bytes()
        if b"FlowSpec" not in source:
            return None
        declared, starts = schedules.read(path)
    except OSError:
        return None
    except BoxError as error:
        # Without a flow in it, it is a file that speaks of flows.
        meant = any(sign in source for sign in _SIGNS) and "is a FlowSpec" not in error.why
        return Found(flow, _name(path), Starts(), error) if meant else None
    return Found(flow, declared.name, starts)


def _name(path: Path) -> str:
    try:
        return flows.read(path).name
    except BoxError:
        return path.stem
