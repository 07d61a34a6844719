"""Warm-up: requests that were answered before are sent to a new release before it gets any of its own."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from boxplat.releases.recorded import Request, choose
from boxplat.serving.log.marks import WARMUP

MOST = 100
_MOST_BYTES = 8 * 2**20
# The first answer may have to wait for what a service loads late, for longer than it lets a client wait.
_PATIENCE, _COLD_TRIES = 60.0, 3
_LATE = (503, 504)
_HEADERS = {"Content-Type": "application/json", WARMUP.decode(): "1"}


@dataclass(frozen=True, slots=True)
class Warm:
    """How a warm-up went.

    Attributes:
        source: what was sent: `recorded` requests, `example` ones of the service's schema, or `none`.
        sent, answered, refused, failed: requests; `refused` are those that the live release refuses too, or
            examples: they are not held against the release. `failed` are held against it.
        unsent: recorded requests whose body is no JSON.
        seconds: that it took in all.
        first_ms, median_ms, p99_ms: latencies, of the very first request and of those that were answered.
        failure: why the release must not serve; empty: nothing is wrong. Names the request by its id, and never what
            was in it.
    """

    source: str
    sent: int = 0
    answered: int = 0
    refused: int = 0
    failed: int = 0
    unsent: int = 0
    seconds: float = 0.0
    first_ms: float = 0.0
    median_ms: float = 0.0
    p99_ms: float = 0.0
    failure: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For the record."""
        return asdict(self)

    def __str__(self) -> str:
        if self.source == "none":
            return "no warm-up: no request is recorded, and the service gives no example"
        of = "recorded requests" if self.source == "recorded" else "example requests (none is recorded)"
        counts = [f"{self.answered} of {self.sent} {of} answered"]
        counts += [f"{self.refused} refused as before"] if self.refused else []
        counts += [f"{self.failed} failed"] if self.failed else []
        times = f"first {self.first_ms:.1f} ms, median {self.median_ms:.1f} ms, p99 {self.p99_ms:.1f} ms"
        return f"warm-up: {', '.join(counts)} in {self.seconds:.1f} s; {times}"


@dataclass(frozen=True, slots=True)
class _Answer:
    """`status` 0: there was none, and `said` says why."""

    request: Request
    status: int
    seconds: float
    said: str = ""

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def refused(self) -> bool:
        return 300 <= self.status < 500


def warm(
    url: str, folder: Path, *, live: str | None = None, most: int = MOST, seconds: float = 10.0, connections: int = 4
) -> Warm:
    """Send the newest recorded requests of an endpoint to a release that does not serve yet.

    They carry the header `x-boxplat-warmup`, so that they are not logged as predictions. A release that breaks, gives
    no answer, or refuses what was answered before has failed, unless the live release refuses that too by now.

    Args:
        url: of the release's own process.
        folder: of the endpoint's prediction log.
        live: of the release that serves now.
        most: requests; 0: none are sent.
        seconds: after which no further request is begun.
        connections: requests under way at once.
    """
    if most <= 0:
        return Warm("none")
    began = time.perf_counter()
    schema = _Connection(url).get("/schema.json")
    if schema is None:
        return Warm("none", failure="its service does not describe itself: /schema.json gave no answer")
    chosen = choose(folder, schema, most, _MOST_BYTES)
    # In the order of their time, the newest last.
    answers = _ask(url, chosen.requests[::-1], began + seconds, connections)
    bad = [answer for answer in answers if not answer.good]
    pardoned = [answer for answer in bad if answer.refused and (chosen.source == "example" or _refuses(live, answer))]
    failed = [answer for answer in bad if answer not in pardoned]
    taken = sorted(answer.seconds * 1000 for answer in answers if answer.good) or [0.0]
    return Warm(
        source=chosen.source,
        sent=len(answers),
        answered=len(answers) - len(bad),
        refused=len(pardoned),
        failed=len(failed),
        unsent=chosen.unsent,
        seconds=time.perf_counter() - began,
        first_ms=answers[0].seconds * 1000 if answers else 0.0,
        median_ms=taken[len(taken) // 2],
        p99_ms=taken[int(len(taken) * 0.99)],
        failure=_failure(failed, len(answers)),
    )


def _ask(url: str, requests: Sequence[Request], deadline: float, connections: int) -> list[_Answer]:
    """Answers, the first one to be begun first; when one is missing no more are asked for."""
    left, answers = deque(requests), list[_Answer]()

    def work() -> None:
        connection = _Connection(url)
        while left and time.perf_counter() < deadline and all(answer.status for answer in answers):
            try:
                request = left.popleft()
            except IndexError:
                break
            answers.append(connection.post(request))
        connection.close()

    if left:
        # Alone, because what it pays for once the others need not wait for.
        answers.append(_first(url, left.popleft()))
    threads = [threading.Thread(target=work, name="warm-up", daemon=True) for _ in range(min(connections, len(left)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _first(url: str, request: Request) -> _Answer:
    answer = _Connection(url).post(request)
    for _ in range(_COLD_TRIES - 1):
        if answer.status in _LATE:
            answer = _Connection(url).post(request)
    return answer


def _refuses(live: str | None, answer: _Answer) -> bool:
    """Whether the live release refuses it as well: then it is the data that have moved on since it was recorded."""
    return live is not None and _Connection(live).post(answer.request).refused


def _failure(failed: Sequence[_Answer], sent: int) -> str:
    if not failed:
        return ""
    first = failed[0]
    now = f"{first.status} now" if first.status else "not at all now"
    what = f"request {first.request.id} of {first.request.api} was answered before, and {now}"
    if first.request.id == first.request.api:
        what = f"the example of {first.request.api} was answered {now}"
    said = f" ({first.said})" if first.said else ""
    return f"{what}{said}; {len(failed)} of {sent} requests failed"


class _Connection:
    """One kept connection on loopback."""

    def __init__(self, url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)

    def post(self, request: Request) -> _Answer:
        began = time.perf_counter()
        try:
            status, content = self._exchange("POST", request.path, request.body)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            return _Answer(request, 0, time.perf_counter() - began, str(error) or type(error).__name__)
        return _Answer(request, status, time.perf_counter() - began, _places(content) if status >= 300 else "")

    def get(self, path: str) -> dict[str, Any] | None:
        """A JSON object; None: there is none to be had."""
        try:
            status, content = self._exchange("GET", path, None)
            found = json.loads(content) if status < 300 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            self.close()
        return found if isinstance(found, dict) else None

    def close(self) -> None:
        self._http.close()

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        kept = self._http.sock is not None
        try:
            self._http.request(method, path, body, _HEADERS)
            answer = self._http.getresponse()
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            self.close()
            if not kept:
                raise
            # The server may have ended a connection that was idle just now.
            return self._exchange(method, path, body)
        return answer.status, answer.read()


def _places(content: bytes) -> str:
    """Which fields an error answer complains about, and of what kind; not its words, which may repeat the request's."""
    try:
        found = json.loads(content)
    except ValueError:
        return ""
    details = found.get("detail") if isinstance(found, dict) else None
    places = []
    for detail in details if isinstance(details, list) else []:
        if isinstance(detail, dict):
            place = ".".join(str(part) for part in detail.get("loc", ()))
            places.append(f"{place}: {detail.get('type', 'refused')}")
    return ", ".join(places[:3])
