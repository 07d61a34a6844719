"""Processes of a box: who is who (pids are reused), starting, stopping, and finding what was left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

MARKER = "BOXPLAT_BOX"
_PROC = Path("/proc")


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except OSError:
        return None
    # The second field is the name in parentheses and may itself hold blanks and parentheses.
    return text[text.rindex(")") + 2 :].split()


def start_ticks(pid: int) -> float | None:
    """When a process began, in clock ticks since boot: unlike wall time it does not move with the clock."""
    fields = _stat(pid)
    return float(fields[19]) if fields else None


def alive(pid: int | None, ticks: float | None) -> bool:
    """Whether this very process is there and no zombie."""
    if pid is None or ticks is None:
        return False
    fields = _stat(pid)
    return fields is not None and float(fields[19]) == ticks and fields[0] not in "ZX"


def parent(pid: int) -> int | None:
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def memory(pid: int) -> int:
    """Resident bytes of one process (shared pages included)."""
    fields = _stat(pid)
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE") if fields else 0


def children() -> dict[int, list[int]]:
    """Every process's children, now."""
    tree: dict[int, list[int]] = {}
    for pid in pids():
        above = parent(pid)
        if above is not None:
            tree.setdefault(above, []).append(pid)
    return tree


def pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]


def descendants(pid: int, tree: Mapping[int, Sequence[int]]) -> list[int]:
    """A process and everything below it."""
    found = [pid]
    for child in tree.get(pid, ()):
        found += descendants(child, tree)
    return found


def marked(box: Path, variable: str = MARKER) -> list[int]:
    """Processes whose environment says that they belong to this box (or, by another variable, to a part of it)."""
    wanted = f"{variable}={box}".encode()
    found = []
    for pid in pids():
        try:
            environ = (_PROC / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        fields = _stat(pid)
        if wanted in environ.split(b"\0") and fields is not None and fields[0] not in "ZX":
            found.append(pid)
    return found


def spawn(
    argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path, descriptors: tuple[int, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own, its output appended to a private log file."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            argv,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=descriptors,
            start_new_session=True,
        )
    finally:
        os.close(output)


def signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the group that a process leads or led; one that is gone already is no error."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def signal_all(targets: Iterable[int], number: signal.Signals) -> None:
    """Signal processes one by one; one that is gone already is no error."""
    for pid in targets:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue
