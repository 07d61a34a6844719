"""The code under audit, run in a process of its own: a function, or a command that writes the table."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from boxplat.core.errors import BoxError, ExitCode

FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


class Build(Protocol):
    """Makes the wanted rows from the sources in a folder, and leaves them as Parquet at `out`."""

    def __call__(self, folder: Path, rows: Path, out: Path) -> None: ...


@dataclass(frozen=True)
class Place:
    """Where the code runs: its working directory, environment, import path, and the log of what it prints."""

    cwd: Path
    env: Mapping[str, str]
    folders: Sequence[Path]
    log: Path


@contextmanager
def started(build: str, place: Place, table: Path | None) -> Iterator[Build]:
    """The code, ready to be called.

    Args:
        build: `module:function`, else a command; `{sources}`, `{rows}` and `{out}` in it are replaced by paths.
        table: where a command without `{out}` leaves its table, in the place where it runs.

    Raises:
        BoxError: it cannot be imported, or a call fails (exit code 1), with its last lines.
    """
    with place.log.open("w") as log:
        if not FUNCTION.fullmatch(build):
            yield _command(build, place, table, log)
            return
        folders = [str(folder) for folder in place.folders]
        argv = [sys.executable, "-m", "boxplat.features.audit.child", build, *folders]
        process = subprocess.Popen(
            argv, cwd=place.cwd, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield _function(build, place, process)
        finally:
            process.kill()
            process.communicate()


def _function(build: str, place: Place, process: subprocess.Popen[str]) -> Build:
    assert process.stdin is not None and process.stdout is not None
    requests, answers = process.stdin, process.stdout
    if answers.readline() != "ready\n":
        raise failed(f"cannot import {build}", place.log)

    def call(folder: Path, rows: Path, out: Path) -> None:
        requests.write(json.dumps({"folder": str(folder), "rows": str(rows), "out": str(out)}) + "\n")
        requests.flush()
        if answers.readline() != "ok\n":
            raise failed(f"{build} failed on sources that end at a decision time", place.log)

    return call


def _command(command: str, place: Place, table: Path | None, log: IO[str]) -> Build:
    def call(folder: Path, rows: Path, out: Path) -> None:
        values = {"{sources}": str(folder), "{rows}": str(rows), "{out}": str(out)}
        argv = [
            re.sub(r"\{(sources|rows|out)\}", lambda found: values[found[0]], word) for word in shlex.split(command)
        ]
        done = subprocess.run(
            argv, cwd=place.cwd, env=place.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
        if done.returncode:
            raise failed(f"`{command}` failed on sources that end at a decision time", place.log)
        left = table if table is not None and "{out}" not in command else out
        if not left.exists():
            raise failed(f"`{command}` left no table at {left.name}", place.log)
        if left != out:
            left.replace(out)

    return call


def failed(what: str, log: Path) -> BoxError:
    """The error of foreign code, with its last lines."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return BoxError(
        what,
        why="\n".join(lines[-6:]) or "it ended without a word",
        fix="make it work on a part of the data; a file that it misses must be declared as [sources.NAME]",
        log=log,
        code=ExitCode.FAILED,
    )
