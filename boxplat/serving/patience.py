"""Patience with answers that take too long, and with clients that send too slowly: one timer for all of them."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

# What Apache's mod_reqtimeout asks of a client by default: the beginning in 20 s, then 500 bytes a second.
_GRACE_SECONDS = 20.0
_LEAST_RATE = 500.0
_TURN = 0.5


class Late(Protocol):
    """An answer that is being computed."""

    began: float

    def expire(self) -> None:
        """It took too long."""
        ...


class Arriving(Protocol):
    """A connection whose request is on its way."""

    since: float
    received: int

    def too_slow(self) -> None:
        """The client does not send, or not fast enough."""
        ...


class Patience:
    """What is waited for, oldest first; times are `time.perf_counter`'s.

    Args:
        timeout: seconds that an answer may take; None: any time.
    """

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self.answers: dict[Late, None] = {}
        self.requests: dict[Arriving, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look after them on the running event loop."""
        turn = _TURN if self._timeout is None else min(_TURN, max(self._timeout / 10, 0.01))
        self._timer = asyncio.get_running_loop().call_later(turn, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self.start()
        now = time.perf_counter()
        while self._timeout is not None and self.answers:
            oldest = next(iter(self.answers))
            if now - oldest.began < self._timeout:
                break
            del self.answers[oldest]
            oldest.expire()
        for one in [one for one in self.requests if now - one.since > _GRACE_SECONDS + one.received / _LEAST_RATE]:
            self.requests.pop(one, None)
            one.too_slow()
