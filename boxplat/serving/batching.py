"""Calls of a batchable API that wait at the same time go together: no timer, no training phase.

A call that finds the function idle starts it at the end of the event loop's turn, together with those that came in the
same turn. Those that come while it runs are the next batch. After a batch, the clients that were just answered get a
small part of the time that it took to ask again, and no longer than until as many rows wait as it had.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import Any

from boxplat.serving.log import annotation
from boxplat.serving.threads import contained
from boxplat.serving.waitlist import Done, Waiting, Waitlist

# Of a batch's time: how long the next one waits for the clients of the last.
_WINDOW = 0.1


class Batcher:
    """Batches for one API.

    Args:
        compute: the user's function, for one batch.
        method: BentoML's description of it (`batch_dim`, `max_batch_size`, `max_latency_ms`).
        waiting: rows that may wait.
        told: called with the number of calls in each batch.
    """

    def __init__(
        self, compute: Callable[[Any], Awaitable[Any]], method: Any, waiting: int, told: Callable[[int], None]
    ) -> None:
        self._compute = compute
        self._told = told
        self._dims: tuple[int, int] = method.batch_dim
        self._most: int = method.max_batch_size
        self._waiting = Waitlist(waiting, method.max_latency_ms / 1000)
        self._running: asyncio.Task[None] | None = None

    def begin(self, args: Sequence[Any], kwargs: dict[str, Any], client: str, done: Done) -> Waiting:
        """Let one client's part of a batch wait.

        Raises:
            TypeError: more than one argument, as from BentoML.
            BentoMLException: too many calls wait (429). One that waited for longer than `max_latency_ms` gets 503.
        """
        values = (*args, *kwargs.values())
        if len(values) != 1:
            raise TypeError("Batch inference function only accept one argument")
        rows, kind = _shape(values[0], self._dims[0])
        one = self._waiting.add(values, {}, rows, kind, client, done)
        one.slip = annotation.current()
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._work())
        return one

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting.take(self._most)
                if batch:
                    await self._timed(batch)
        finally:
            self._running = None

    async def _timed(self, batch: Sequence[Waiting]) -> None:
        rows = sum(one.rows for one in batch)
        for one in batch:
            one.batch = rows
        self._told(len(batch))
        began = time.perf_counter()
        await self._together(batch)
        ended = time.perf_counter()
        self._waiting.pace.took(rows, ended - began)
        expected = min(rows, self._most)
        until = ended + _WINDOW * (ended - began)
        # A loop's timers are coarser than this; its turns read what the sockets have.
        while self._waiting.rows < expected and time.perf_counter() < until:
            await asyncio.sleep(0)

    async def _together(self, batch: Sequence[Waiting]) -> None:
        """Answer a batch; one that fails is halved until only the culprits fail."""
        said = annotation.opened()
        try:
            found = await self._computed([one.args[0] for one in batch])
        except BaseException as error:
            if len(batch) == 1:
                batch[0].done(None, contained(error))
                return
            middle = len(batch) // 2
            await self._together(batch[:middle])
            await self._together(batch[middle:])
            return
        annotation.share(said, [(one.slip, one.rows) for one in batch])
        for one, value in zip(batch, found, strict=True):
            one.done(value, None)

    async def _computed(self, values: Sequence[Any]) -> Sequence[Any]:
        from bentoml._internal.runner.container import AutoContainer

        batch, indices = AutoContainer.batches_to_batch(values, self._dims[0])
        result = await self._compute(batch)
        if len(values) > 1 and _rows(result, self._dims[1]) != indices[-1]:
            # Alone, a call gets whatever the function gives for it.
            raise ValueError(f"the function gave other than {indices[-1]} rows for a batch of {indices[-1]}")
        if len(values) > 1 and self._dims[1] == 0 and hasattr(result, "dtype"):
            return [result[start:end] for start, end in pairwise(indices)]
        parts: Sequence[Any] = AutoContainer.batch_to_batches(result, indices, self._dims[1])
        return parts


def _shape(value: Any, dim: int) -> tuple[int, Any]:
    """How many rows a value has, and what it must share with others to be computed together with them."""
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and kind is not None:
        rest = (*shape[:dim], *shape[dim + 1 :])
        return (shape[dim] if len(shape) > dim else 1), (type(value), kind, len(shape), rest)
    if hasattr(value, "dtypes"):
        return len(value), (type(value), tuple(map(str, value.dtypes.items())))
    return _rows(value, dim), type(value)


def _rows(value: Any, dim: int) -> int:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return int(shape[dim]) if len(shape) > dim else 1
    return len(value) if isinstance(value, list) else 1
