"""Calls of a batchable API that wait at the same time go together: no timer, no training phase.

A call that finds the function idle starts it at the end of the event loop's turn, together with those that came in the
same turn. Those that come while it runs are the next batch: where they fill it, it is computed while the answers of the
one before are written. Else the clients that were just answered get a small part of the time that the batch took to ask
again, and no longer than until as many rows wait as it had.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from boxplat.serving.calls.threads import contained, giving_way
from boxplat.serving.calls.waitlist import Done, Waiting, Waitlist, give
from boxplat.serving.log import annotation

Compute = Callable[[Any, Done], object]
Answer = tuple[Waiting, Any, BaseException | None]
# Of a batch's time: how long the next one waits for the clients of the last.
_WINDOW = 0.1
_LEAST_WINDOW_SECONDS, _MOST_WINDOW_SECONDS = 0.0002, 0.01


class Batcher:
    """Batches for one API.

    Args:
        compute: starts the user's function for one batch; what it is given is called with its value or its error.
        method: BentoML's description of it (`batch_dim`, `max_batch_size`, `max_latency_ms`).
        waiting: rows that may wait.
        told: called with the number of calls in each batch.
    """

    def __init__(self, compute: Compute, method: Any, waiting: int, told: Callable[[int], None]) -> None:
        self._compute = compute
        self._told = told
        self._dims: tuple[int, int] = method.batch_dim
        self._most: int = method.max_batch_size
        self._waiting = Waitlist(waiting, method.max_latency_ms / 1000, self._most)
        self._is_busy = False
        # Of no request: a batch belongs to all of its calls.
        self._context = copy_context()

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
        if not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_soon(self._next, context=self._context.copy())
        return one

    def _next(self) -> None:
        batch = self._waiting.take(self._most)
        if not batch:
            self._is_busy = False
            return
        rows = sum([one.rows for one in batch])
        for one in batch:
            one.batch = rows or 1
        self._told(len(batch))
        self._start(Batch(rows, time.perf_counter(), [batch]))

    def _start(self, batch: Batch) -> None:
        """Compute the first of its parts, without those that nobody waits for any more."""
        batch.parts = [left for part in batch.parts if (left := [one for one in part if not one.gone])]
        if not batch.parts:
            self._next()
            return
        said = annotation.opened()
        try:
            value, indices = self._joined(batch.parts[0])
            self._compute(value, partial(self._ended, batch, indices, said))
        except Exception as error:
            # Not at once: each call of a long line may end like this.
            asyncio.get_running_loop().call_soon(self._ended, batch, [], said, None, error)

    def _ended(
        self, batch: Batch, indices: Sequence[int], said: annotation.Slip, value: Any, error: BaseException | None
    ) -> None:
        """Answer a part; one that failed is halved until only the culprits fail."""
        part = batch.parts.pop(0)
        found: Sequence[Any] = ()
        if error is None:
            try:
                found = self._split(value, indices)
            except Exception as raised:
                error = raised
        answers: list[Answer] = []
        if error is None:
            if said:
                annotation.share(said, [(one.slip, one.rows) for one in part])
            answers = [(one, answer, None) for one, answer in zip(part, found, strict=True)]
        elif len(part) == 1:
            answers = [(part[0], None, contained(error))]
        else:
            middle = len(part) // 2
            batch.parts[:0] = [part[:middle], part[middle:]]
            batch.was_halved = True
        self._go_on(batch, answers)

    def _go_on(self, batch: Batch, answers: list[Answer]) -> None:
        """Give answers, and see to what is next: before them, where as much waits as can be computed at once."""
        if not batch.parts and self._waiting.rows >= self._most:
            self._took(batch)
            self._next()
            with giving_way():
                _give(answers)
            return
        _give(answers)
        if batch.parts:
            asyncio.get_running_loop().call_soon(self._start, batch)
            return
        window = max(_WINDOW * self._took(batch), _LEAST_WINDOW_SECONDS)
        # So many rows were asked for at once; their clients may all ask again.
        expected = min(batch.rows + self._waiting.rows, self._most)
        self._wait(expected, time.perf_counter() + min(window, _MOST_WINDOW_SECONDS), 0)

    def _took(self, batch: Batch) -> float:
        """Seconds that a batch took."""
        seconds = time.perf_counter() - batch.began
        if not batch.was_halved:
            self._waiting.pace.took(seconds)
        return seconds

    def _wait(self, expected: int, until: float, before: int) -> None:
        rows = self._waiting.rows
        # A turn that brought rows has taken its time to read them; meanwhile others may have come.
        if rows >= expected or (rows <= before and time.perf_counter() >= until):
            self._next()
        else:
            # A loop's timers are coarser than this; its turns read what the sockets have.
            asyncio.get_running_loop().call_soon(self._wait, expected, until, rows)

    def _joined(self, part: Sequence[Waiting]) -> tuple[Any, Sequence[int]]:
        from bentoml._internal.runner.container import AutoContainer

        joined: tuple[Any, Sequence[int]] = AutoContainer.batches_to_batch([one.args[0] for one in part], self._dims[0])
        return joined

    def _split(self, value: Any, indices: Sequence[int]) -> Sequence[Any]:
        from bentoml._internal.runner.container import AutoContainer

        if len(indices) > 2 and _rows(value, self._dims[1]) != indices[-1]:
            # Alone, a call gets whatever the function gives for it.
            raise ValueError(f"the function gave other than {indices[-1]} rows for a batch of {indices[-1]}")
        if len(indices) > 2 and self._dims[1] == 0 and hasattr(value, "dtype"):
            return [value[start:end] for start, end in pairwise(indices)]
        parts: Sequence[Any] = AutoContainer.batch_to_batches(value, indices, self._dims[1])
        return parts


@dataclass
class Batch:
    """Calls that are computed: at first together, after an error in parts."""

    rows: int
    began: float
    parts: list[list[Waiting]]
    was_halved: bool = False


def _give(answers: Sequence[Answer]) -> None:
    for answer in answers:
        give(*answer)


def _shape(value: Any, dim: int) -> tuple[int, Any]:
    """How many rows a value has, and what it must share with others to be computed together with them."""
    shape, kind = getattr(value, "shape", None), getattr(value, "dtype", None)
    if hasattr(value, "dtypes"):
        return len(value), (type(value), tuple(map(str, value.dtypes.items())))
    if shape is not None and kind is not None:
        rest = (*shape[:dim], *shape[dim + 1 :])
        return (shape[dim] if len(shape) > dim else 1), (type(value), kind, len(shape), rest)
    return _rows(value, dim), type(value)


def _rows(value: Any, dim: int) -> int:
    shape = getattr(value, "shape", None)
    if shape is not None:
        return int(shape[dim]) if len(shape) > dim else 1
    return len(value) if isinstance(value, list) else 1
