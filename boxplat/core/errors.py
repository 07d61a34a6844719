"""What went wrong, in four parts, and the exit codes that scripts rely on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum
from pathlib import Path


class ExitCode(IntEnum):
    """Exit codes of every `box` command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NO_BOX = 3
    PRECONDITION = 4
    GATE_REFUSED = 5
    TIMED_OUT = 6
    DEGRADED = 7
    NO_COMPUTE = 8
    NOT_FOUND = 9
    CHECK_FAILED = 10
    INTERRUPTED = 130


class BoxError(Exception):
    """An error that a person can act on.

    Args:
        what: what failed, one line.
        why: the cause; for a failed process its last relevant lines.
        fix: the command that mends it, or the next thing to try.
        log: the file with the whole story, where there is one.
        code: the exit status of the command that met it.
    """

    def __init__(
        self, what: str, *, why: str, fix: str, log: Path | str | None = None, code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.fix = fix
        self.log = str(log) if log is not None else None
        self.code = code

    def __str__(self) -> str:
        parts = [f"error: {self.what}", f"  why: {indented(self.why)}", f"  fix: {indented(self.fix)}"]
        if self.log is not None:
            parts.append(f"  log: {self.log}")
        return "\n".join(parts)

    def as_dict(self) -> dict[str, object]:
        """The same four parts for `--json`."""
        return {"error": self.what, "why": self.why, "fix": self.fix, "log": self.log, "code": int(self.code)}


def indented(text: str) -> str:
    """Later lines under the first one's words."""
    return text.strip().replace("\n", "\n       ")


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known name, else an empty string."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {match[0]!r}?)" if match else ""


def not_found(kind: str, name: str, known: Iterable[str], fix: str) -> BoxError:
    """The error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    there = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") if names else "none yet"
    return BoxError(
        f"no {kind} {name!r}{nearest(name, names)}", why=f"known: {there}", fix=fix, code=ExitCode.NOT_FOUND
    )
