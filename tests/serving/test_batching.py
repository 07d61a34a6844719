"""Calls that wait together are computed together, and only the culprit pays."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bentoml.exceptions import BentoMLException

from boxplat.serving.calls import calling
from boxplat.serving.calls import waitlist as waitlist_module
from boxplat.serving.calls.batching import Batcher
from boxplat.serving.calls.waitlist import Pace, Waitlist


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


class Asked:
    """A batcher that is asked as an endpoint's `call` asks it."""

    def __init__(self, compute: Callable[..., Awaitable[Any]], most: int, latency_ms: int, waiting: int) -> None:
        self.told: list[int] = []
        method = SimpleNamespace(batch_dim=(0, 0), max_batch_size=most, max_latency_ms=latency_ms)
        self.batcher = Batcher(partial(calling.on_loop, compute), method, waiting, self.told.append)

    async def call(self, *args: Any, **kwargs: Any) -> Any:
        return await calling.call(self.batcher.begin, *args, **kwargs)


def batcher(
    compute: Callable[..., Awaitable[Any]], most: int = 4, latency_ms: int = 10_000, waiting: int = 1000
) -> Asked:
    return Asked(compute, most, latency_ms, waiting)


async def together(made: Asked, values: Sequence[Any]) -> list[Any]:
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


def test_rows_that_come_one_after_the_other_go_together() -> None:
    """A turn of the loop that reads a row takes time, in which the next one comes."""

    async def run() -> None:
        function, over = Function(), asyncio.Event()
        begin = batcher(function, most=100).batcher.begin
        again: list[int] = []

        def ask() -> None:
            began = time.perf_counter()
            while time.perf_counter() - began < 0.0005:
                continue
            begin([[len(again)]], {}, "", lambda value, error: over.set())
            again.append(1)
            if len(again) < 5:
                asyncio.get_running_loop().call_soon(ask)

        def answered(value: Any, error: BaseException | None) -> None:
            if value == [8]:
                asyncio.get_running_loop().call_soon(ask)

        for n in range(5):
            begin([[n]], {}, "", answered)
        await over.wait()
        assert function.batches == [list(range(5)), list(range(5))]

    asyncio.run(run())


def test_a_full_batch_that_waits_is_begun_before_answers_are_written() -> None:
    async def run() -> None:
        order: list[str] = []

        def compute(value: Any, done: Callable[..., None]) -> None:
            order.append(f"computes {value}")
            asyncio.get_running_loop().call_soon(done, value, None)

        method = SimpleNamespace(batch_dim=(0, 0), max_batch_size=2, max_latency_ms=10_000)
        made = Batcher(compute, method, 100, lambda calls: None)
        ended = asyncio.Event()

        def answered(value: Any, error: BaseException | None) -> None:
            order.append(f"answers {value}")
            if len(order) == 8:
                ended.set()

        for n in range(5):
            made.begin([[n]], {}, "", answered)
        await ended.wait()
        first = ["computes [0, 1]", "computes [2, 3]", "answers [0]", "answers [1]"]
        assert order == [*first, "answers [2]", "answers [3]", "computes [4]", "answers [4]"]

    asyncio.run(run())


def test_a_slow_first_batch_refuses_nobody() -> None:
    line = waitlist(patience=1.0)
    line.pace.took(60.0)
    add(line, "one")
    add(line, "one")
    line.pace.took(0.001)
    line.pace.took(30.0)
    add(line, "one")
    line.pace.took(30.0)
    with pytest.raises(BentoMLException):
        add(line, "one")


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


def test_a_culprit_is_found_by_halving() -> None:
    async def run() -> None:
        function = Function()
        found = await together(batcher(function, most=64), [[-1 if n == 37 else n] for n in range(64)])
        assert [n for n, one in enumerate(found) if isinstance(one, ValueError)] == [37]
        assert len(function.batches) == 1 + 2 * 6

    asyncio.run(run())


def test_ragged_rows_go_together_with_those_of_their_shape() -> None:
    async def run() -> None:
        values = [np.ones((1, 2)), np.ones((1, 3)), np.ones((1, 2)), np.ones((1, 2), dtype=np.int64)]
        function = Function()
        found = await together(batcher(function), values)
        assert [value.shape for value in found] == [(1, 2), (1, 3), (1, 2), (1, 2)]
        assert found[3].dtype == np.int64 and sorted(map(len, function.batches)) == [1, 1, 2]

    asyncio.run(run())


def test_a_function_that_loses_rows_is_asked_for_each_call_alone() -> None:
    async def run() -> None:
        async def total(batch: Any) -> Any:
            return [sum(batch)]

        assert await together(batcher(total), [[1], [2], [3]]) == [[1], [2], [3]]

    asyncio.run(run())


def test_a_full_queue_refuses_at_once_and_says_when_to_come_again() -> None:
    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=2, waiting=4)
        waiting = asyncio.create_task(together(made, [[n] for n in range(4)]))
        while not function.batches:
            await asyncio.sleep(0)
        last = [asyncio.create_task(made.call([n])) for n in (8, 9)]
        await asyncio.sleep(0)
        with pytest.raises(BentoMLException, match="Too many requests") as caught:
            await made.call([9])
        assert caught.value.error_code.value == 429 and caught.value.retry_after >= 1  # type: ignore[attr-defined]
        function.gate.set()
        assert await waiting == [[2 * n] for n in range(4)] and await asyncio.gather(*last) == [[16], [18]]

    asyncio.run(run())


def waitlist(most: int = 100, patience: float = 10.0, seconds: float = 0.0) -> Waitlist:
    return Waitlist(most, patience, pace=Pace(seconds))


def add(line: Waitlist, client: str, rows: int = 1, kind: Any = None) -> None:
    line.add((client,), {}, rows, kind, client, lambda value, error: None)


def test_clients_take_turns() -> None:
    line = waitlist()
    for client in "aaaaabbc":
        add(line, client)
    assert "".join(one.client for one in line.take(6)) == "abcaba"
    assert "".join(one.client for one in line.take(6)) == "aa" and not line and line.rows == 0


def test_what_does_not_fit_comes_first_the_next_time() -> None:
    line = waitlist()
    for client, rows in (("a", 2), ("b", 3), ("a", 1), ("c", 1)):
        add(line, client, rows)
    assert [(one.client, one.rows) for one in line.take(4)] == [("a", 2), ("c", 1), ("a", 1)]
    assert [(one.client, one.rows) for one in line.take(4)] == [("b", 3)]


def test_a_call_of_more_rows_than_a_batch_goes_alone() -> None:
    line = waitlist()
    add(line, "a", 9)
    add(line, "b", 1)
    assert [one.rows for one in line.take(4)] == [9]


def test_a_client_within_its_share_is_let_into_a_full_queue() -> None:
    line = waitlist(most=4)
    for _ in range(4):
        add(line, "greedy")
    with pytest.raises(BentoMLException):
        add(line, "greedy")
    add(line, "modest")
    assert line.rows == 5


def test_what_would_wait_for_too_long_is_refused_at_once() -> None:
    line = waitlist(patience=1.0, seconds=0.1)
    with pytest.raises(BentoMLException) as caught:
        for _ in range(100):
            add(line, "a")
    assert line.rows == 9 and caught.value.retry_after == 1  # type: ignore[attr-defined]


def test_a_call_that_waited_too_long_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(waitlist_module, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function, most=1, latency_ms=1)
        tasks = [asyncio.create_task(made.call([n])) for n in range(2)]
        while not function.batches:
            await asyncio.sleep(0)
        now[0] += 0.01
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


def test_calls_for_no_rows_are_calls() -> None:
    async def run() -> None:
        made = batcher(Function())
        assert await together(made, [[1], [], [], [2]]) == [[2], [], [], [4]]
        assert await made.call([3]) == [6]

    asyncio.run(run())


def test_an_answer_that_cannot_be_given_holds_nobody_up() -> None:
    async def run() -> None:
        function = Function()
        made = batcher(function)
        made.batcher.begin(([1],), {}, "", lambda value, error: 1 / 0)
        assert await made.call([2]) == [4] and await made.call([3]) == [6]

    asyncio.run(run())


def test_what_nobody_waits_for_takes_no_room() -> None:
    line = waitlist(most=3)
    gone = [line.add((n,), {}, 1, None, "a", lambda value, error: None) for n in range(3)]
    for one in gone:
        one.cancel()
    add(line, "a")
    assert line.rows == 1 and [one.args for one in line.take(9)] == [("a",)] and line.rows == 0


def test_what_one_batch_holds_is_not_refused_by_time() -> None:
    line = Waitlist(1000, 0.2, 64, Pace(0.15))
    for _ in range(64):
        add(line, "a")
    with pytest.raises(BentoMLException):
        for _ in range(65):
            add(line, "a")
    assert line.rows == 128


def test_newcomers_without_end_are_refused_too() -> None:
    line = waitlist(most=10)
    with pytest.raises(BentoMLException):
        for n in range(100):
            add(line, f"client {n}")
    assert line.rows == 21


def test_a_failing_batch_leaves_out_those_that_have_gone() -> None:
    async def run() -> None:
        function = Function(gate=True)
        made = batcher(function)
        tasks = [asyncio.create_task(made.call([n])) for n in (-1, 1, 2, 3)]
        while not function.batches:
            await asyncio.sleep(0)
        for task in tasks[2:]:
            task.cancel()
        await asyncio.sleep(0)
        function.gate.set()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[0], ValueError) and found[1] == [2]
        assert function.batches == [[-1, 1, 2, 3], [-1, 1], [-1], [1]]

    asyncio.run(run())
