"""Appending one record to the spool that BOXPLAT_SPOOL names."""

import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

TRACEBACK = 16_000


def write(record: Mapping[str, Any]) -> None:
    """Append a record in one write, so that tasks that run at once never mix their lines.

    The line also begins with a line end: a record that a killed task left half-written spoils only itself.
    """
    path = os.environ.get("BOXPLAT_SPOOL")
    if not path:
        return
    line = b"\n" + json.dumps(record, default=str).encode() + b"\n"
    try:
        spool = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(spool, line)
        finally:
            os.close(spool)
    except OSError as error:
        print(f"boxplat: nothing was recorded in {path}: {error}", file=sys.stderr)


def harmless(hook: Callable[..., None]) -> Callable[..., None]:
    """A hook whose own errors are written down instead of raised: they are ours, the step is the user's."""

    @functools.wraps(hook)
    def safe(*args: Any, **kwargs: Any) -> None:
        try:
            hook(*args, **kwargs)
        except Exception as error:
            text = "".join(traceback.format_exception(error))[-TRACEBACK:]
            write({"kind": "note", "at": time.time(), "text": f"{hook.__name__}: {text}"})

    return safe
