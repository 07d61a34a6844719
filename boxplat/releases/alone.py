"""One command at a time changes an endpoint."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths


@contextmanager
def alone(paths: Paths, name: str) -> Iterator[None]:
    """Hold an endpoint's lock; the kernel frees it however its holder ends.

    Raises:
        BoxError: another command holds it (exit code 1).
    """
    descriptor = os.open(paths.state / f"deploy-{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BoxError(
                f"another command is changing endpoint {name}",
                why="two changes of one endpoint at once would undo each other",
                fix="box endpoints   (try again when it has ended)",
            ) from error
        yield
    finally:
        os.close(descriptor)
