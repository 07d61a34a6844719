"""Patience with answers that take too long, and with clients that send too slowly: one timer for all of them."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Protocol

# What Apache's mod_reqtimeout asks of a client by default: 20 s, and then 500 bytes a second.
_GRACE_SECONDS = 20.0
_LEAST_RATE = 500.0
# How long the rest of a request is read that has its answer, so that its client gets to see it.
_FAREWELL_SECONDS = 5.0
_TURN = 0.5


class Late(Protocol):
    """An answer that is being computed."""

    began: float

    def expire(self) -> None:
        """It took too long."""
        ...


class Arriving(Protocol):
    """A connection whose request is on its way."""

    @property
    def received(self) -> int:
        """Bytes of it so far."""
        ...

    @property
    def is_answered(self) -> bool:
        """It has its answer already."""
        ...

    def too_slow(self) -> None:
        """The client does not send, or not fast enough."""
        ...


class Patience:
    """What is waited for, oldest first; times are `time.perf_counter`'s.

    Args:
        timeout: seconds that an answer may take.
    """

    def __init__(self, timeout: float = math.inf) -> None:
        self._timeout = timeout
        self.answers: dict[Late, None] = {}
        # With the moment since when each is watched, and the bytes that it had then.
        self.requests: dict[Arriving, tuple[float, int]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look after them on the running event loop."""
        turn = min(_TURN, max(self._timeout / 10, 0.01))
        self._timer = asyncio.get_running_loop().call_later(turn, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.start()
        now = time.perf_counter()
        while self.answers:
            oldest = next(iter(self.answers))
            if now - oldest.began < self._timeout:
                break
            del self.answers[oldest]
            oldest.expire()
        for one, (since, before) in list(self.requests.items()):
            if now - since > (_FAREWELL_SECONDS if one.is_answered else _GRACE_SECONDS):
                if one.is_answered or one.received - before < _GRACE_SECONDS * _LEAST_RATE:
                    self.requests.pop(one, None)
                    one.too_slow()
                else:
                    self.requests[one] = now, one.received
