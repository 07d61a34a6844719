"""One command at a time changes an endpoint, and one an alias of a model."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths


@contextmanager
def alone(paths: Paths, name: str) -> Iterator[None]:
    """Hold an endpoint's lock.

    Raises:
        BoxError: another command holds it (exit code 1).
    """
    taken = BoxError(
        f"another command is changing endpoint {name}",
        why="two changes of one endpoint at once would undo each other",
        fix="box endpoints   (try again when it has ended)",
    )
    with _held(paths, f"deploy-{name}.lock", taken):
        yield


@contextmanager
def alone_with_model(paths: Paths, model: str) -> Iterator[None]:
    """Hold the lock of a model's aliases.

    Raises:
        BoxError: another command holds it (exit code 1).
    """
    name = "".join(letter if letter.isalnum() else "-" for letter in model)
    taken = BoxError(
        f"another command is moving an alias of {model}",
        why="two promotions of one model at once would undo each other",
        fix=f"box models show {model}   (try again when it has ended)",
    )
    with _held(paths, f"promote-{name}.lock", taken):
        yield


@contextmanager
def _held(paths: Paths, file: str, taken: BoxError) -> Iterator[None]:
    """The kernel frees the lock however its holder ends."""
    descriptor = os.open(paths.state / file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise taken from error
        yield
    finally:
        os.close(descriptor)
