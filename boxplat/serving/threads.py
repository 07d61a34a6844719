"""The threads in which an endpoint's plain functions run."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any

from boxplat.serving.waitlist import Done, Waiting, Waitlist

_Job = tuple[contextvars.Context, Callable[[], Any], Done]


class Threads:
    """A service's threads: AnyIO's, because functions may call `anyio.from_thread`, but taken once and kept.

    Args:
        count: how many functions run at once (`threads` of the service).
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._running: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, function: Callable[[], Any], done: Done, context: contextvars.Context | None = None) -> None:
        """Run a function in a context, by default a copy of the caller's; `done` is called on the event loop in it."""
        if self._loop is None:
            self._start()
        self._jobs.put((context or contextvars.copy_context(), function, done))

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function and wait for what it gives."""
        answer = asyncio.get_running_loop().create_future()
        self.run(function, partial(settle, answer))
        return await answer

    async def stop(self) -> None:
        """End the threads, once the functions that run have ended."""
        for _ in self._running:
            self._jobs.put(None)
        await asyncio.gather(*self._running)
        self._running.clear()
        self._loop = None

    def _start(self) -> None:
        import anyio

        self._loop = asyncio.get_running_loop()
        limiter = anyio.CapacityLimiter(self.count)
        self._running = [self._loop.create_task(self._thread(limiter)) for _ in range(self.count)]

    async def _thread(self, limiter: Any) -> None:
        from anyio.to_thread import run_sync

        try:
            await run_sync(self._work, limiter=limiter, abandon_on_cancel=True)
        finally:
            # Where the task is cancelled its thread must not hold up the end of the process.
            self._jobs.put(None)

    def _work(self) -> None:
        assert self._loop is not None
        while (job := self._jobs.get()) is not None:
            context, function, done = job
            try:
                value, error = context.run(function), None
            except BaseException as raised:
                value, error = None, raised
            try:
                self._loop.call_soon_threadsafe(done, value, error, context=context)
            except RuntimeError:
                # The loop is closed: nobody waits.
                return
            del job, context, function, done, value, error


class Threaded:
    """Calls of a plain function, which wait for a thread."""

    def __init__(self, function: Callable[..., Any], threads: Threads, waiting: int, patience: float) -> None:
        self._function = function
        self._threads = threads
        self._waiting = Waitlist(waiting, patience)
        self._under_way = 0

    def begin(self, args: Sequence[Any], kwargs: dict[str, Any], client: str, done: Done) -> Waiting:
        """Let a call wait for a thread.

        Raises:
            BentoMLException: too many calls wait (429).
        """
        one = self._waiting.add(tuple(args), kwargs, 1, None, client, done)
        # Here and not when its turn comes, which is in the context of whoever was before it.
        one.context = contextvars.copy_context()
        self._next()
        return one

    def _next(self) -> None:
        # One more than there are threads, so that none is idle while the event loop is busy.
        while self._waiting and self._under_way <= self._threads.count:
            for one in self._waiting.take(1):
                self._under_way += 1
                one.batch = 1
                function = partial(self._timed, one)
                self._threads.run(function, partial(self._ended, one), one.context)

    def _timed(self, one: Waiting) -> tuple[Any, float]:
        began = time.perf_counter()
        return self._function(*one.args, **one.kwargs), time.perf_counter() - began

    def _ended(self, one: Waiting, value: Any, error: BaseException | None) -> None:
        self._under_way -= 1
        if error is None:
            value, seconds = value
            self._waiting.pace.took(self._threads.count, seconds)
        one.done(value, error)
        self._next()


def settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Give a future its value or its error, unless nobody waits for it."""
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        # A future does not take this one.
        answer.set_exception(RuntimeError("StopIteration") if isinstance(error, StopIteration) else error)
