"""From a call of an API to the user's function: in a batch, in a thread, or on the event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Any, Protocol

from boxplat.serving.calls.batching import Batcher
from boxplat.serving.calls.threads import Threaded, Threads, contained, settle
from boxplat.serving.calls.waitlist import Done, busy

# Who asks, for fairness between clients.
CLIENT: ContextVar[str] = ContextVar("client", default="")


class Begun(Protocol):
    """A call that was let in."""

    def cancel(self) -> object:
        """Nobody waits for its answer any more."""
        ...


class Caller(Protocol):
    """The way to one API's function."""

    def begin(self, args: Sequence[Any], kwargs: dict[str, Any], client: str, done: Done) -> Begun:
        """Start a call or let it wait; `done` is called once, on the event loop, with its value or its error.

        Raises:
            BentoMLException: too many wait (429).
        """
        ...


class Coroutines:
    """Calls of an asynchronous function, each a task of its own."""

    def __init__(self, function: Callable[..., Awaitable[Any]], waiting: int) -> None:
        self._function = function
        self._most = waiting
        self._under_way = 0

    def begin(self, args: Sequence[Any], kwargs: dict[str, Any], client: str, done: Done) -> asyncio.Task[None]:
        """As `Caller.begin`."""
        if self._under_way >= self._most:
            raise busy(0.0)
        self._under_way += 1
        task = asyncio.get_running_loop().create_task(told(self._function(*args, **kwargs), done))
        # Not in the task: one that is cancelled early never begins.
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._under_way -= 1


def caller(factory: Any, method: Any, function: Any, threads: Threads, waiting: int) -> Caller:
    """The way to a function of a running service, which is described by BentoML's `method`."""
    from bentoml._internal.utils import get_original_func

    is_async = inspect.iscoroutinefunction(get_original_func(function))
    if method.batchable:
        told = _batches(factory, method)
        return Batcher(partial(on_loop if is_async else threads.start, function), method, waiting, told)
    if is_async:
        return Coroutines(function, waiting)
    return Threaded(function, threads, waiting, factory.timeout)


def on_loop(function: Callable[..., Awaitable[Any]], value: Any, done: Done) -> object:
    """Start an asynchronous function."""
    return asyncio.get_running_loop().create_task(told(function(value), done))


async def told(awaitable: Awaitable[Any], done: Done) -> None:
    """Wait for a value and tell it, or the error."""
    try:
        value = await awaitable
    except BaseException as error:
        done(None, contained(error))
    else:
        done(value, None)


async def call(begin: Callable[..., Begun], *args: Any, **kwargs: Any) -> Any:
    """Begin a call and wait for what it gives."""
    return (await called(begin, *args, **kwargs))[0]


async def called(begin: Callable[..., Begun], *args: Any, **kwargs: Any) -> tuple[Any, int]:
    """The same, and how many rows were computed together."""
    answer = asyncio.get_running_loop().create_future()
    begun = begin(args, kwargs, CLIENT.get(), partial(settle, answer))
    try:
        value = await answer
    finally:
        begun.cancel()
    return value, getattr(begun, "batch", 0) or 1


def _batches(factory: Any, method: Any) -> Callable[[int], None]:
    """BentoML's own count of how many calls were in a batch."""
    if not factory.enable_metrics:
        return lambda calls: None
    from bentoml._internal.context import server_context

    series = factory.adaptive_batch_size_hist.labels(
        runner_name=factory.service.name,
        worker_index=server_context.worker_index,
        method_name=method.name,
        service_version=server_context.bento_version,
        service_name=server_context.bento_name,
    )
    observe: Callable[[int], None] = series.observe
    return observe
