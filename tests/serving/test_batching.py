"""Calls that wait together are computed together, and only the culprit pays."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import BentoMLException

from boxplat.serving import batching
from boxplat.serving.batching import Batcher


class Function:
    """Doubles each row; waits for `gate`, and remembers its batches."""

    def __init__(self, gate: bool = False) -> None:
        self.batches: list[Any] = []
        self.gate = asyncio.Event()
        if not gate:
            self.gate.set()

    async def __call__(self, batch: Any) -> Any:
        self.batches.append(np.asarray(batch).tolist())
        await self.gate.wait()
        if any(value < 0 for value in np.ravel(batch)):
            raise ValueError("negative")
        return batch * 2 if isinstance(batch, np.ndarray) else [value * 2 for value in batch]


def batcher(call: Callable[..., Awaitable[Any]], most: int = 4, latency_ms: int = 10_000) -> Batcher:
    return Batcher(call, SimpleNamespace(batch_dim=(0, 0), max_batch_size=most, max_latency_ms=latency_ms))


async def together(made: Batcher, values: Sequence[Any]) -> list[Any]:
    return await asyncio.gather(*(made.call(value) for value in values), return_exceptions=True)


def test_calls_of_one_turn_go_together_up_to_the_limit() -> None:
    async def run() -> None:
        function = Function()
        found = await together(batcher(function), [[n] for n in range(6)])
        assert found == [[2 * n] for n in range(6)]
        assert function.batches == [[0, 1, 2, 3], [4, 5]]

    asyncio.run(run())


def test_calls_that_come_while_it_runs_are_the_next_batch() -> None:
    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=100)
        first = asyncio.create_task(made.call([1]))
        while not function.batches:
            await asyncio.sleep(0)
        rest = asyncio.create_task(together(made, [[n] for n in range(2, 9)]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        function.gate.set()
        assert await first == [2] and await rest == [[2 * n] for n in range(2, 9)]
        assert function.batches == [[1], list(range(2, 9))]

    asyncio.run(run())


def test_parts_of_several_rows_stay_whole_and_in_order() -> None:
    async def run() -> None:
        function = Function()
        values = [np.arange(n * 10, n * 10 + rows)[:, None] for n, rows in enumerate([3, 2, 4, 9, 1])]
        found = await together(batcher(function), values)
        assert all((got == 2 * value).all() for got, value in zip(found, values, strict=True))
        assert [len(batch) for batch in function.batches] == [3, 2, 4, 9, 1]

    asyncio.run(run())


def test_one_row_fails_alone() -> None:
    async def run() -> None:
        found = await together(batcher(Function()), [[1], [-1], [2]])
        assert found[0] == [2] and found[2] == [4] and isinstance(found[1], ValueError)

    asyncio.run(run())


def test_ragged_rows_are_computed_one_by_one() -> None:
    async def run() -> None:
        values = [np.ones((1, 2)), np.ones((1, 3)), np.ones((1, 2))]
        found = await together(batcher(Function()), values)
        assert [value.shape for value in found] == [(1, 2), (1, 3), (1, 2)]

    asyncio.run(run())


def test_a_full_queue_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "_WAITING", 1)

    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=2)
        waiting = asyncio.create_task(together(made, [[n] for n in range(5)]))
        with pytest.raises(BentoMLException, match="too many") as caught:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await made.call([9])
            await made.call([9])
            await made.call([9])
        assert caught.value.error_code.value == 429
        function.gate.set()
        answers = await waiting
        assert all(isinstance(one, list | BentoMLException) for one in answers) and answers[0] == [0]

    asyncio.run(run())


def test_a_call_that_waited_too_long_is_not_computed() -> None:
    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=1, latency_ms=1)
        tasks = [asyncio.create_task(made.call([n])) for n in range(2)]
        while not function.batches:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        function.gate.set()
        first, second = await asyncio.gather(*tasks, return_exceptions=True)
        assert first == [0] and isinstance(second, BentoMLException) and second.error_code.value == 503
        assert function.batches == [[0]]

    asyncio.run(run())


def test_a_client_that_left_is_not_computed() -> None:
    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=1)
        tasks = [asyncio.create_task(made.call([n])) for n in range(3)]
        while not function.batches:
            await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.sleep(0)
        function.gate.set()
        assert await tasks[0] == [0] and await tasks[2] == [4] and function.batches == [[0], [2]]

    asyncio.run(run())


def test_more_than_one_argument_is_refused_as_by_bentoml() -> None:
    with pytest.raises(TypeError, match="only accept one argument"):
        asyncio.run(batcher(Function()).call([1], x=2))
