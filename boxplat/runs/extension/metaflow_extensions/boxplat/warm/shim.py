"""What stands for the module `subprocess` where Metaflow starts its tasks and has its cards made."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from .client import Client
from .process import WarmProcess, readable

_OPTIONS = frozenset({"stdin", "stdout", "stderr", "env", "bufsize"})
_STREAMS = (None, subprocess.PIPE, subprocess.STDOUT, subprocess.DEVNULL)
# Set for every task, or read by a task when it runs and by nothing when it is imported.
_FREE = frozenset(
    {
        "METAFLOW_RUN_ID",
        "METAFLOW_CODE_SHA",
        "METAFLOW_CODE_URL",
        "METAFLOW_CODE_DS",
        "METAFLOW_CODE_METADATA",
        "PYTHONUNBUFFERED",
        "CUDA_VISIBLE_DEVICES",
        "TRACEPARENT",
        "TRACESTATE",
    }
)


class Substitute:
    """The module `subprocess`, but for launches of the commands in `commands`, which the server starts.

    Whatever is in doubt goes to the real module, unchanged.

    Args:
        command_of: finds the command among the arguments after the script.
    """

    def __init__(
        self, client: Client, commands: Collection[str], command_of: Callable[[Sequence[str]], str | None]
    ) -> None:
        self._client = client
        self._commands = commands
        self._command_of = command_of

    def __getattr__(self, name: str) -> Any:
        return getattr(subprocess, name)

    def Popen(self, args: Any, **options: Any) -> Any:
        """As subprocess.Popen."""
        return self._warm(args, options) or subprocess.Popen(args, **options)

    def check_output(self, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """As subprocess.check_output."""
        plain = len(args) == 1 and "stdout" not in options and "args" not in options
        process = self._warm(args[0], {**options, "stdout": subprocess.PIPE}) if plain else None
        if process is None:
            return subprocess.check_output(*args, timeout=timeout, **options)
        return _output(process, timeout)

    def _warm(self, args: Any, options: dict[str, Any]) -> WarmProcess | None:
        if not self._is_ours(args, options):
            return None
        why = self._doubt(options["env"])
        if why is None:
            try:
                return self._client.launch(
                    args, options["env"], options.get("stdin"), options.get("stdout"), options.get("stderr")
                )
            except OSError as error:
                why = f"the server of warm tasks does not answer: {error}"
        self._client.tell(why, args)
        return None

    def _is_ours(self, args: Any, options: dict[str, Any]) -> bool:
        if not isinstance(args, list) or len(args) < 3 or not all(isinstance(word, str) for word in args):
            return False
        if not options.keys() <= _OPTIONS or options.get("env") is None:
            return False
        if any(options.get(name) not in _STREAMS for name in ("stdin", "stdout", "stderr")):
            return False
        return args[:2] == [sys.executable, sys.argv[0]] and self._command_of(args[2:]) in self._commands

    def _doubt(self, env: Any) -> str | None:
        if self._client.broken:
            return "the server of warm tasks is gone"
        base = self._client.base
        names = [name for name in sorted({*env, *base}) if env.get(name) != base.get(name)]
        other = [name for name in names if name not in _FREE and not name.startswith("BOXPLAT_")]
        return f"its environment differs: {', '.join(other)}" if other else None


def _output(process: WarmProcess, timeout: float | None) -> bytes:
    """What the process writes until it ends, as subprocess.check_output gives it."""
    deadline = None if timeout is None else time.monotonic() + timeout
    output = bytearray()
    try:
        with process.stdout or io.BytesIO() as stream:
            while readable(stream, None if deadline is None else max(0.0, deadline - time.monotonic())):
                chunk = os.read(stream.fileno(), 65536)
                if not chunk:
                    break
                output += chunk
            else:
                raise subprocess.TimeoutExpired(process.args, timeout or 0.0, bytes(output) or None)
        code = process.wait(None if deadline is None else max(0.0, deadline - time.monotonic()))
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code:
        raise subprocess.CalledProcessError(code, process.args, bytes(output))
    return bytes(output)
