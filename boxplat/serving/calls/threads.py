"""The threads in which an endpoint's plain functions run."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

from boxplat.serving.calls.waitlist import Done, Waiting, Waitlist, give

# Calls that take so long together are run by one thread before any is answered: to change threads takes longer.
_TOGETHER_SECONDS = 0.001
_MOST_TOGETHER = 16
# How long a thread waits before it is given the interpreter; Python's 5 ms are as long as a batch takes.
_TURN_SECONDS = 2e-5


class Job(NamedTuple):
    """A function that runs in a thread, in the context of who asked."""

    context: contextvars.Context
    function: Callable[[], Any]
    done: Done

    def outcome(self) -> tuple[Job, Any, BaseException | None]:
        """What it gives, or raises."""
        try:
            return self, self.context.run(self.function), None
        except BaseException as raised:
            return self, None, raised


class Threads:
    """A service's threads: AnyIO's, because functions may call `anyio.from_thread`, but taken once and kept.

    Args:
        count: how many functions run at once (`threads` of the service).
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._jobs: SimpleQueue[Sequence[Job] | None] = SimpleQueue()
        self._running: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, jobs: Sequence[Job]) -> None:
        """Run functions in one thread, one after the other; each `done` is called on the event loop."""
        if self._loop is None:
            self._start()
        self._jobs.put(jobs)

    def start(self, function: Callable[..., Any], value: Any, done: Done) -> None:
        """Run a function with a value in this context."""
        self.run([Job(contextvars.copy_context(), partial(function, value), done)])

    async def call(self, function: Callable[[], Any]) -> Any:
        """Run a function and wait for what it gives."""
        answer = asyncio.get_running_loop().create_future()
        self.run([Job(contextvars.copy_context(), function, partial(settle, answer))])
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
        except asyncio.CancelledError:
            # Its thread must not hold up the end of the process.
            self._jobs.put(None)
            raise

    def _work(self) -> None:
        while (jobs := self._jobs.get()) is not None:
            told = time.perf_counter()
            ended: list[tuple[Job, Any, BaseException | None]] = []
            for job in jobs:
                ended.append(job.outcome())
                if time.perf_counter() - told > _TOGETHER_SECONDS:
                    self._tell(ended)
                    told, ended = time.perf_counter(), []
            if ended:
                self._tell(ended)
            del jobs, job, ended

    def _tell(self, ended: list[tuple[Job, Any, BaseException | None]]) -> None:
        assert self._loop is not None
        # Where the loop is closed nobody waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_done, ended)


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
            taken = self._waiting.take(self._together())
            if taken:
                self._under_way += 1
                self._threads.run([self._job(one, last=one is taken[-1]) for one in taken])

    def _together(self) -> int:
        each = self._waiting.pace.seconds * self._threads.count
        return max(1, min(_MOST_TOGETHER, int(_TOGETHER_SECONDS / each))) if each else 1

    def _job(self, one: Waiting, last: bool) -> Job:
        assert one.context is not None
        one.batch = 1
        return Job(one.context, partial(self._timed, one), partial(self._ended, one, last))

    def _timed(self, one: Waiting) -> tuple[Any, float]:
        if one.gone:
            return None, 0.0
        began = time.perf_counter()
        return self._function(*one.args, **one.kwargs), time.perf_counter() - began

    def _ended(self, one: Waiting, last: bool, value: Any, error: BaseException | None) -> None:
        if error is None:
            value, seconds = value
            if seconds:
                self._waiting.pace.took(seconds / self._threads.count)
        give(one, value, None if error is None else contained(error))
        if last:
            self._under_way -= 1
            self._next()


def _done(ended: Sequence[tuple[Job, Any, BaseException | None]]) -> None:
    for job, value, error in ended:
        job.context.run(job.done, value, error)


def settle(answer: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    """Give a future its value or its error, unless nobody waits for it."""
    if answer.done():
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(contained(error))


@contextlib.contextmanager
def giving_way() -> Iterator[None]:
    """What the event loop does in here must not hold up the functions that run in threads."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(_TURN_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def contained(error: BaseException) -> Exception:
    """An error for whoever waits: also of what a function raises to leave its program, or its coroutine."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    return RuntimeError(f"the function raised {type(error).__name__}")
