"""Runs of a flow write to its datastore together; whoever deletes what they share must be alone there.

The kernel frees these locks however their holder ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from boxplat.core.paths import Paths


@contextmanager
def writing(paths: Paths, flow: str) -> Iterator[None]:
    """Hold a flow's datastore open for writing, with others; waits for who is alone there, which takes seconds."""
    with _opened(paths, flow) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def alone(paths: Paths, flow: str) -> Iterator[bool]:
    """Keep everybody from writing to a flow's datastore. False: somebody does."""
    with _opened(paths, flow) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


@contextmanager
def _opened(paths: Paths, flow: str) -> Iterator[int]:
    folder: Path = paths.metaflow / "locks"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(folder / f"{flow}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield file
    finally:
        os.close(file)
