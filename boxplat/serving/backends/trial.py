"""The processes in which back ends are tried: one each, so that none's memory, threads or crash is another's."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from boxplat.serving.backends.runner import Array
from boxplat.serving.backends.source import CONVERTED

_PATIENCE = 300.0
_CONVERSION = 900.0


class FailedError(Exception):
    """A back end that did not load, or did not answer."""


class Trial:
    """One back end of one model, loaded and warm, in a process of its own.

    `takes`: its inputs in words, type and shape; empty where the model does not say.

    Args:
        rows: the `.npz` file with the inputs.
        log: where the process writes what it has to say.

    Raises:
        FailedError: it does not load.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        threads: int,
        rows: Path,
        batches: tuple[int, ...],
        log: Path,
        env: Mapping[str, str],
    ) -> None:
        self.name = name
        self._answers = log.with_suffix(".npz")
        self._log = log
        command = [sys.executable, "-m", "boxplat.serving.backends.measure", str(folder), name, str(threads), str(rows)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, *map(str, batches)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env),
                text=True,
            )
        try:
            ready = self._reply()
        except BaseException:
            # Ctrl-C too: whatever it is loading, nobody waits for it any more.
            self._process.kill()
            self.close()
            raise
        self.load_seconds = float(ready["load_seconds"])
        self.first_seconds = float(ready["first_seconds"])
        self.takes = tuple(str(one) for one in ready["takes"])
        self.memory_mib = 0.0

    def seconds(self, size: int, wanted: float) -> float:
        """Median time of a call with so many rows, from calls for about `wanted` seconds."""
        reply = self._ask(size=size, seconds=wanted)
        self.memory_mib = max(self.memory_mib, float(reply["memory_mib"]))
        return float(reply["seconds"])

    def answers(self) -> dict[str, Array]:
        """Answers to the rows, by `SIZE.OUTPUT`."""
        self._ask(answers=str(self._answers))
        with np.load(self._answers, allow_pickle=False) as found:
            return {name: found[name] for name in found.files}

    def outputs(self) -> list[Array]:
        """Every output of all rows, in the largest batches; rows are repeated where these are larger."""
        found = self.answers()
        largest = max(int(name.partition(".")[0]) for name in found)
        return [array for name, array in found.items() if name.startswith(f"{largest}.")]

    def close(self) -> None:
        """End the process."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            # What was not sent to one that has ended is lost, and nobody waits for it.
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Trial:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, **request: object) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise FailedError(_last_words(self._log)) from error
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        watch = threading.Timer(_PATIENCE, self._process.kill)
        watch.daemon = True
        watch.start()
        try:
            line = self._process.stdout.readline()
        finally:
            watch.cancel()
        if not line:
            raise FailedError(_last_words(self._log))
        reply: dict[str, Any] = json.loads(line)
        if "failed" in reply:
            raise FailedError(reply["failed"])
        return reply


def convert(folder: Path, log: Path, env: Mapping[str, str]) -> dict[str, str]:
    """Make the ONNX files of a model; why, for each back end that has none now."""
    command = [sys.executable, "-m", "boxplat.serving.backends.convert", str(folder)]
    with log.open("wb") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env=dict(env),
                check=False,
                text=True,
                timeout=_CONVERSION,
            )
        except subprocess.TimeoutExpired:
            return dict.fromkeys(CONVERTED, f"making them took longer than {_CONVERSION:g} s")
    if done.returncode:
        return dict.fromkeys(CONVERTED, _last_words(log))
    missing: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return missing


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else f"its process ended, or took longer than {_PATIENCE:g} s"
