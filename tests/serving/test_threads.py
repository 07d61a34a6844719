"""Functions in threads, where the event loop waits for those that are likely to be quick."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio.from_thread

from boxplat.serving.calls.threads import Meeting, Threads

_LIKELY = 0.0001


async def _heard(function: Callable[[], Any], likely: float = _LIKELY) -> list[tuple[Any, BaseException | None]]:
    """What is told of a function in the threads of which another one ran before."""
    threads, heard, over = Threads(1), [], asyncio.Event()

    def done(value: Any, error: BaseException | None) -> None:
        heard.append((value, error))
        over.set()

    await threads.call(lambda: None)
    threads.start(lambda value: function(), None, done, likely)
    assert not heard
    await over.wait()
    # One that is told twice would be told by now.
    await threads.call(lambda: None)
    await threads.stop()
    return heard


def test_a_quick_function_runs_in_its_thread() -> None:
    found = asyncio.run(_heard(threading.get_ident))
    assert len(found) == 1 and found[0][1] is None and found[0][0] != threading.get_ident()


def test_one_that_is_likely_to_be_quick_may_need_the_event_loop() -> None:
    def asks() -> int:
        return anyio.from_thread.run(_seven) + asyncio.run(_seven())

    async def _seven() -> int:
        await asyncio.sleep(0.002)
        return 7

    assert asyncio.run(_heard(asks)) == [(14, None)]


def test_its_error_is_told_once() -> None:
    def fails() -> None:
        raise KeyError("no")

    for likely in (_LIKELY, 0.0):
        ((value, error),) = asyncio.run(_heard(fails, likely))
        assert value is None and isinstance(error, KeyError)


def test_who_leaves_a_meeting_is_told_later_and_who_stays_is_not() -> None:
    later: list[Any] = []
    left, stayed = Meeting(later.append), Meeting(later.append)
    assert left.wait(0.001) is None
    left.tell([])
    assert later == [[]]
    stayed.tell([])
    assert stayed.wait(0.001) == [] and later == [[]]


def test_a_meeting_is_missed_by_nobody() -> None:
    """Whatever the order of the two: what has ended is heard of once."""
    later: list[Any] = []
    here = 0
    for n in range(300):
        meeting = Meeting(later.append)
        thread = threading.Thread(target=meeting.tell, args=([],))
        thread.start()
        here += meeting.wait(n * 2e-7) is not None
        thread.join()
    assert here + len(later) == 300
