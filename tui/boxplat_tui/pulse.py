"""What the releases did in the last two minutes, kept while an endpoint's screen is in front."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from boxplat.core.errors import BoxError
    from boxplat.releases.live import Live
    from boxplat.releases.traffic import Return

SECONDS = 120
Which = tuple[str, int]


class PulseRead(Message):
    """The releases as they are now, and what a rollback of `endpoint` would return to, or why there is nothing.

    Posted from the reading thread.
    """

    def __init__(self, live: Iterable[Live], endpoint: str | None, back: Return | BoxError | None) -> None:
        super().__init__()
        self.live = tuple(live)
        self.endpoint = endpoint
        self.back = back

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, PulseRead)


class Pulse:
    """The newest figures of each release, and the graphs of its requests and times, a value a second."""

    def __init__(self) -> None:
        self.now: dict[Which, Live] = {}
        self.rates: dict[Which, deque[float | None]] = {}
        self.times: dict[Which, deque[float | None]] = {}
        self.back: Return | BoxError | None = None
        self.back_of: str | None = None

    def take(self, message: PulseRead) -> None:
        """Follow what was read."""
        self.now = {(one.endpoint, one.release): one for one in message.live}
        self.back, self.back_of = message.back, message.endpoint
        for which, one in self.now.items():
            self.rates.setdefault(which, deque(maxlen=SECONDS)).append(one.latest)
            self.times.setdefault(which, deque(maxlen=SECONDS)).append(one.p99_ms)
        for gone in self.rates.keys() - self.now.keys():
            del self.rates[gone], self.times[gone]
