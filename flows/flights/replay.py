"""Ask the endpoint for flights of the past as if they were of today, and tell it later what became of them.

    PYTHONPATH=flows python -m flights.replay --from 2013-10-01 --days 2

Every `--hours` of theirs the newest features are brought online, then each flight whose T (an hour before departure)
lies in them is asked for in a request of its own, through the gateway. Outcomes come a step later. The online store
only goes forward: begin no earlier than what `flows/features.py --now` has brought there.
"""

from __future__ import annotations

import argparse
import http.client
import json
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from boxplat import Box
from flights import sources
from flights.paths import quoted, raw_folder
from flights.training_set import LEAD

CLIENTS = 8
# The longest life time of a view, and a little more.
HISTORY = timedelta(days=30)


@dataclass(frozen=True)
class Flown:
    """A flight by its keys (`sched`: minutes UTC), and whether it was late (None: not known)."""

    carrier: str
    flight: int
    origin: str
    dest: str
    sched: int
    y: int | None

    def request(self) -> bytes:
        """The body of a request for it."""
        moment = datetime.fromtimestamp(60 * self.sched, UTC).isoformat()
        one = {"carrier": self.carrier, "flight": self.flight, "origin": self.origin, "dest": self.dest}
        return json.dumps({"flights": [{**one, "sched_dep": moment}]}).encode()


def flown(first: datetime, last: datetime) -> list[Flown]:
    """The flights whose T lies in a time, in order of departure."""
    bounds = [int(moment.timestamp()) // 60 + LEAD for moment in (first, last)]
    sql = (
        f"select carrier, flight, origin, dest, sched, y from read_parquet({quoted(raw_folder() / 'flight.parquet')}) "
        "where sched >= ? and sched < ? order by sched, id"
    )
    return [Flown(*row) for row in sources.connect().execute(sql, bounds).fetchall()]


def ask(url: str, flights: Sequence[Flown], headers: dict[str, str]) -> dict[int, int]:
    """Ask for each flight; returns how many answers had which status."""

    def some(part: Sequence[Flown]) -> list[int]:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        found = []
        for flight in part:
            connection.request("POST", "/predict", flight.request(), {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            answer.read()
            found.append(answer.status)
        connection.close()
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        statuses = [status for part in pool.map(some, [flights[i::CLIENTS] for i in range(CLIENTS)]) for status in part]
    return {status: statuses.count(status) for status in sorted(set(statuses))}


def tell(box: Box, endpoint: str, flights: Sequence[Flown]) -> int:
    """Add the outcomes of flights; returns how many were new."""
    rows = [
        json.dumps({name: getattr(flight, name) for name in Flown.__dataclass_fields__})
        for flight in flights
        if flight.y is not None
    ]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "outcomes.jsonl"
        file.write_text("\n".join(rows))
        return box.outcomes.add(endpoint, str(file)).new if rows else 0


def replay(
    box: Box, endpoint: str, begin: datetime, days: float, hours: float = 3.0
) -> Iterator[tuple[datetime, dict[int, int], int]]:
    """Replay a time; after each step its end, the statuses of the answers and the number of new outcomes.

    Stop at any step: what was asked for in the last one has no outcome yet.
    """
    from boxplat.releases.keys import headers

    url = next(str(one.url) for one in box.endpoints() if one.name == endpoint)
    step, end, waiting = timedelta(hours=hours), begin + timedelta(days=days), list[Flown]()
    start: datetime | None = begin - HISTORY
    while begin < end:
        box.features.materialize(start and start.isoformat(), begin.isoformat())
        now = flown(begin, begin + step)
        statuses = ask(url, now, headers(box.state, box.paths))
        told = tell(box, endpoint, waiting)
        begin, waiting, start = begin + step, now, None
        yield begin, statuses, told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--endpoint", default="delay")
    parser.add_argument("--from", dest="begin", required=True, help="ISO time (without a zone: UTC)")
    parser.add_argument("--days", type=float, default=1.0)
    parser.add_argument("--hours", type=float, default=3.0)
    args = parser.parse_args()
    begin = datetime.fromisoformat(args.begin)
    begin = begin if begin.tzinfo else begin.replace(tzinfo=UTC)
    with_outcome = 0
    for moment, statuses, told in replay(Box("."), args.endpoint, begin, args.days, args.hours):
        with_outcome += told
        counts = ", ".join(f"{count} answered {status}" for status, count in statuses.items()) or "no flights"
        print(f"{moment.isoformat()}  {counts}, {with_outcome} outcomes", flush=True)


if __name__ == "__main__":
    main()
