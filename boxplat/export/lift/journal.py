"""The lifts of a project: what was lifted where, how far each came, and the export that it applied.

Each has a folder `.box/lift/N` with the export and a journal, one JSON object a line, that survives a kill.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxplat.core import lines
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift.bundle import Ref

_KEPT = 10


@dataclass(frozen=True, slots=True)
class Target:
    """Where a lift goes. The same server and namespace are the same target, whatever the context is called."""

    server: str
    namespace: str
    context: str

    def same(self, other: Target) -> bool:
        return (self.server, self.namespace) == (other.server, other.namespace)


class Lift:
    """One lift: its export and its journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.number = int(folder.name)
        self._journal = folder / "journal.jsonl"
        self.lines: list[dict[str, Any]] = list(lines.read(self._journal))

    @property
    def export(self) -> Path:
        return self.folder / "export"

    @property
    def target(self) -> Target:
        return Target(**self.lines[0]["target"])

    @property
    def overlay(self) -> str:
        overlay: str = self.lines[0]["overlay"]
        return overlay

    @property
    def of(self) -> int:
        """The lift that this one goes back to, 0 for one that goes forward."""
        number: int = self.lines[0]["of"]
        return number

    @property
    def asked(self) -> Mapping[str, Any]:
        """What was ordered with it: whoever goes on need not say it again."""
        asked: Mapping[str, Any] = self.lines[0].get("asked", {})
        return asked

    @property
    def complete(self) -> bool:
        return self.did("done")

    def did(self, step: str) -> bool:
        """Whether a step was taken to its end."""
        return any(line["step"] == step for line in self.lines)

    def last(self, step: str) -> Mapping[str, Any] | None:
        """What was noted when a step was taken last."""
        return next((line for line in reversed(self.lines) if line["step"] == step), None)

    def objects(self) -> set[Ref]:
        """What this lift has put on the cluster and not taken away."""
        there: set[Ref] = set()
        for line in self.lines:
            if line["step"] == "applied":
                there.add(Ref(**line["ref"]))
            elif line["step"] == "pruned":
                there.discard(Ref(**line["ref"]))
        return there

    def note(self, step: str, **facts: Any) -> None:
        """Write a line and see it to the disk."""
        line = {"at": time.time(), "step": step, **facts}
        lines.append(self._journal, line, synced=True)
        self.lines.append(line)


class Lifts:
    """All lifts of a project, in `.box/lift`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def _next(self) -> Path:
        return self.folder / "next"

    def all(self) -> list[Lift]:
        """Those that were begun, oldest first."""
        folders = sorted(
            (path for path in self.folder.glob("[0-9]*") if path.name.isdigit()), key=lambda p: int(p.name)
        )
        return [lift for lift in map(Lift, folders) if lift.lines]

    def to(self, target: Target) -> list[Lift]:
        """The lifts to a target, oldest first."""
        return [lift for lift in self.all() if lift.target.same(target)]

    def staged(self) -> Path:
        """An empty folder for an export that is not lifted yet."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self._next, ignore_errors=True)
        self._next.mkdir(mode=0o700)
        return self._next / "export"

    def begin(
        self, export: Path, target: Target, overlay: str, of: int = 0, asked: Mapping[str, Any] | None = None
    ) -> Lift:
        """A new lift with an export: that which was staged, or a copy."""
        numbers = [int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit()]
        folder = self.folder / str(max(numbers, default=0) + 1)
        folder.mkdir(mode=0o700, parents=True)
        if export.parent == self._next:
            export.rename(folder / "export")
        else:
            shutil.copytree(export, folder / "export")
        lift = Lift(folder)
        lift.note("begun", target=asdict(target), overlay=overlay, of=of, asked=dict(asked or {}))
        self._forget(target)
        return lift

    def objects(self, target: Target) -> set[Ref]:
        """What lifts have put on a target and no later one has taken away."""
        there: set[Ref] = set()
        for lift in self.to(target):
            gone = {Ref(**line["ref"]) for line in lift.lines if line["step"] == "pruned"}
            there = (there - gone) | lift.objects()
        return there

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second lift of the project from running beside this one.

        Raises:
            BoxError: one runs (exit code 4).
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BoxError(
                    "another `box lift` of this project is at work",
                    why=f"it holds {self.folder / 'lock'}",
                    fix="wait for it to end, then repeat the command",
                    code=ExitCode.PRECONDITION,
                ) from error
            yield
        finally:
            os.close(file)

    def _forget(self, target: Target) -> None:
        """Drop the oldest lifts of a target, never the objects' last witness: a complete lift applied them all."""
        complete = [lift for lift in self.to(target) if lift.complete]
        for lift in complete[:-_KEPT]:
            shutil.rmtree(lift.folder)
