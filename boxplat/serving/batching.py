"""Calls of a batchable API that wait at the same time go together: no timer, no training phase.

A call that finds the function idle starts it at the end of the event loop's turn, together with those that came in the
same turn. Those that come while it runs are the next batch.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

# Batches that may wait; a call beyond them is refused at once.
_WAITING = 64


@dataclass
class _Waiting:
    value: Any
    rows: int
    until: float
    answer: asyncio.Future[Any]


class Batcher:
    """Batches for one API.

    Args:
        call: the user's function, for one batch.
        method: BentoML's description of it (`batch_dim`, `max_batch_size`, `max_latency_ms`).
    """

    def __init__(self, call: Callable[..., Awaitable[Any]], method: Any) -> None:
        self._call = call
        self._dims: tuple[int, int] = method.batch_dim
        self._most: int = method.max_batch_size
        self._patience: float = method.max_latency_ms / 1000
        self._waiting: deque[_Waiting] = deque()
        self._rows = 0
        self._running: asyncio.Task[None] | None = None

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        """One client's part of a batch.

        Raises:
            TypeError: more than one argument, as from BentoML.
            BentoMLException: too many calls wait (429), or this one waited for longer than `max_latency_ms` (503).
        """
        from bentoml._internal.runner.container import AutoContainer

        values = [*args, *kwargs.values()]
        if len(values) != 1:
            raise TypeError("Batch inference function only accept one argument")
        rows = AutoContainer.get_batch_size(values[0], batch_dim=self._dims[0])
        if self._rows + rows > _WAITING * self._most and self._waiting:
            raise _refused("too many calls wait", HTTPStatus.TOO_MANY_REQUESTS)
        loop = asyncio.get_running_loop()
        one = _Waiting(values[0], rows, loop.time() + self._patience, loop.create_future())
        self._waiting.append(one)
        self._rows += rows
        if self._running is None:
            self._running = loop.create_task(self._work())
        return await one.answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                batch = self._next()
                if batch:
                    await self._together(batch)
        finally:
            self._running = None

    def _next(self) -> list[_Waiting]:
        """The oldest calls that fit; those that nobody waits for, or that waited too long, are left out."""
        now = asyncio.get_running_loop().time()
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].rows <= self._most):
            one = self._waiting.popleft()
            self._rows -= one.rows
            if one.answer.done():
                continue
            if one.until < now:
                one.answer.set_exception(_refused("process is overloaded", HTTPStatus.SERVICE_UNAVAILABLE))
                continue
            batch.append(one)
            rows += one.rows
        return batch

    async def _together(self, batch: Sequence[_Waiting]) -> None:
        """Answer a batch; where it fails as a whole each call is made alone, so that only the culprit fails."""
        try:
            found = await self._computed([one.value for one in batch])
        except Exception as error:
            if len(batch) == 1:
                _give(batch[0], error=error)
                return
            for one in batch:
                await self._together([one])
            return
        for one, value in zip(batch, found, strict=True):
            _give(one, value)

    async def _computed(self, values: Sequence[Any]) -> Sequence[Any]:
        from bentoml._internal.runner.container import AutoContainer

        batch, indices = AutoContainer.batches_to_batch(values, self._dims[0])
        found: Sequence[Any] = AutoContainer.batch_to_batches(await self._call(batch), indices, self._dims[1])
        return found


def _give(one: _Waiting, value: Any = None, error: Exception | None = None) -> None:
    if one.answer.done():
        return
    if error is None:
        one.answer.set_result(value)
    else:
        one.answer.set_exception(error)


def _refused(why: str, status: HTTPStatus) -> Exception:
    from bentoml.exceptions import BentoMLException

    return BentoMLException(why, error_code=status)
