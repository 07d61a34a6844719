"""Plain generators as streams: each step in one of the service's threads."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator
from contextvars import copy_context
from threading import Lock
from typing import Any

from boxplat.serving.calls.threads import Job, Threads

_ENDED = object()


async def in_threads(generator: Any, threads: Threads) -> AsyncGenerator[Any, None]:
    """What a plain generator gives; it is closed when no more is wanted."""
    turn = Lock()

    def step() -> Any:
        with turn:
            return next(generator, _ENDED)

    def close() -> None:
        with turn:
            generator.close()

    try:
        while (value := await threads.call(step)) is not _ENDED:
            yield value
    except RuntimeError as error:
        if "StopIteration" not in str(error):
            raise
    finally:
        if inspect.getgeneratorstate(generator) != inspect.GEN_CLOSED:
            # A step may still run, so the end of it is not waited for here.
            threads.run([Job(copy_context(), close, _closed)])


def _closed(_: None, error: BaseException | None) -> None:
    if error is not None:
        logging.getLogger("bentoml.serve").error("Exception while closing a stream", exc_info=error)
