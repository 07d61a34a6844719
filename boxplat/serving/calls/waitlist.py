"""Calls that wait for one API: bounded, fair between clients, each with a deadline."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from boxplat.serving.log.annotation import Slip

Done = Callable[[Any, BaseException | None], None]
# Of the time that a call may wait: what is expected to take longer is refused at once.
_SAFE = 0.8
_SLOWER, _FASTER = 0.5, 0.2
# What newcomers may add to a full list, as a multiple of it.
_MOST_OVER = 2


@dataclass(slots=True, eq=False)
class Waiting:
    """One call.

    Attributes:
        rows: that it asks for.
        weight: what it counts for: a call for no rows is a call too.
        kind: calls of the same kind may be computed together.
        until: moment of `time.monotonic` after which nobody wants its answer.
        done: called once, with the answer or an error.
        gone: nobody waits for it any more.
        batch: rows that it was computed together with, its own among them; 0 before.
        slip: what the service says about it is put there.
        context: of the request, where its function runs in a thread.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    rows: int
    weight: int
    kind: Any
    client: str
    until: float
    done: Done
    gone: bool = False
    batch: int = 0
    context: Context | None = None
    slip: Slip | None = None
    # Takes it out of the count of those that wait; None once it is.
    leave: Callable[[Waiting], None] | None = None

    def cancel(self) -> None:
        """Nobody waits for the answer any more; where it is not under way it never will be."""
        self.gone = True
        if self.leave is not None:
            self.leave(self)
            self.args, self.kwargs = (), {}


@dataclass
class Pace:
    """How long a turn takes, from the last ones: a mean that forgets; 0 while nothing is known.

    A slow turn counts when the one before it was slow as well: the first one is, and one that something else held up.
    """

    seconds: float = 0.0
    _last: float = 0.0

    def took(self, seconds: float) -> None:
        """A turn took so long."""
        likely, self._last = min(seconds, self._last), seconds
        weight = _SLOWER if likely > self.seconds else _FASTER
        self.seconds = self.seconds + weight * (likely - self.seconds) if self.seconds else likely


@dataclass
class Waitlist:
    """The calls that wait, by kind and client; clients take turns.

    Attributes:
        most: rows that may wait. A client with less than its equal share may still add to a full list.
        patience: seconds that a call may wait.
        together: rows that are computed in one turn.
        pace: of the turns.
    """

    most: int
    patience: float
    together: int = 1
    pace: Pace = field(default_factory=Pace)
    rows: int = 0
    _lines: dict[Any, dict[str, deque[Waiting]]] = field(default_factory=dict)
    _rows_of: dict[str, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], rows: int, kind: Any, client: str, done: Done
    ) -> Waiting:
        """Let a call wait.

        Raises:
            BentoMLException: status 429, when too many wait, or what waits will take longer than this one may wait.
        """
        weight = rows or 1
        own = self._rows_of.get(client, 0)
        if self.rows + weight > self.most or self.rows * self.pace.seconds > _SAFE * self.patience * self.together:
            self._make_room(own, weight)
        until = time.monotonic() + self.patience
        one = Waiting(args, kwargs, rows, weight, kind, client, until, done, leave=self._leave)
        clients = self._lines.get(kind)
        if clients is None:
            clients = self._lines[kind] = {}
        line = clients.get(client)
        if line is None:
            line = clients[client] = deque()
        line.append(one)
        self._rows_of[client] = own + weight
        self.rows += weight
        return one

    def take(self, most: int) -> list[Waiting]:
        """The next calls to compute together: of one kind, at most this many rows, or one call that has more.

        Calls that nobody waits for are left out, those past their deadline are answered.
        """
        now = time.monotonic()
        while self._lines:
            kind = self._oldest()
            clients = self._lines[kind]
            alone = len(self._lines) == len(clients) == 1 and self.rows <= most
            taken = self._all(clients, now) if alone else self._turns(clients, most, now)
            if not clients:
                del self._lines[kind]
            if taken:
                return taken
        return []

    def _make_room(self, own: int, rows: int) -> None:
        clients = len(self._rows_of) + (not own)
        ahead = min(self.rows, (own + 1) * clients) // self.together * self.pace.seconds
        if own:
            full = self.rows + rows > self.most and own + rows > self.most / clients
        else:
            full = self.rows > _MOST_OVER * self.most
        if full or ahead > _SAFE * self.patience:
            raise busy(ahead)

    def _oldest(self) -> Any:
        if len(self._lines) == 1:
            return next(iter(self._lines))
        return min(self._lines, key=lambda kind: min(line[0].until for line in self._lines[kind].values()))

    def _all(self, clients: dict[str, deque[Waiting]], now: float) -> list[Waiting]:
        """As `_turns`, where one client waits, and all of it fits."""
        (line,) = clients.values()
        clients.clear()
        self._rows_of.clear()
        self.rows = 0
        taken: list[Waiting] = []
        for one in line:
            one.leave = None
            if one.until >= now and not one.gone:
                taken.append(one)
            elif not one.gone:
                give(one, None, late())
        return taken

    def _turns(self, clients: dict[str, deque[Waiting]], most: int, now: float) -> list[Waiting]:
        taken: list[Waiting] = []
        rows = 0
        turns = deque(clients.items())
        # Clients whose next call does not fit any more; they come first the next time.
        held = []
        while turns and rows < most:
            line = turns[0][1]
            one = line[0]
            wanted = one.until >= now and not one.gone
            if wanted and taken and rows + one.weight > most:
                held.append(turns.popleft())
                continue
            line.popleft()
            if line:
                turns.rotate(-1)
            else:
                turns.popleft()
            if one.leave is not None:
                self._leave(one)
            if wanted:
                taken.append(one)
                rows += one.weight
            elif not one.gone:
                give(one, None, late())
        clients.clear()
        clients.update(held)
        clients.update(turns)
        return taken

    def _leave(self, one: Waiting) -> None:
        one.leave = None
        self.rows -= one.weight
        self._rows_of[one.client] -= one.weight
        if not self._rows_of[one.client]:
            del self._rows_of[one.client]


def give(one: Waiting, value: Any, error: BaseException | None) -> None:
    """Tell a call what became of it."""
    try:
        one.done(value, error)
    except Exception:
        # The others that are computed with it, and those that wait, have nothing to do with it.
        logging.getLogger("bentoml.serve").exception("an answer could not be given")


def late() -> Exception:
    """Status 503, as BentoML gives it to a call that has waited for too long."""
    error = refused("process is overloaded", HTTPStatus.SERVICE_UNAVAILABLE)
    error.expected = True  # type: ignore[attr-defined]
    return error


def busy(seconds: float) -> Exception:
    """Status 429, with the whole seconds after which asking again makes sense."""
    error = refused("Too many requests", HTTPStatus.TOO_MANY_REQUESTS)
    error.expected = True  # type: ignore[attr-defined]
    error.retry_after = max(1, math.ceil(seconds))  # type: ignore[attr-defined]
    return error


def refused(why: str, status: HTTPStatus) -> Exception:
    """BentoML's error of this status."""
    from bentoml.exceptions import BentoMLException

    return BentoMLException(why, error_code=status)
