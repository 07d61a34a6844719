"""Requests to the endpoint `delay` made from flights that exist."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from flights import training_set
from flights.paths import quoted
from flights.sources import connect

COUNT = 5


def example(features: Path, now: datetime, count: int = COUNT) -> str:
    """JSON of one request: the first flights whose T, an hour before departure, is `now` or later."""
    minutes = int(now.timestamp()) // 60 + training_set.LEAD
    rows = (
        connect()
        .execute(
            f"select carrier, flight, origin, dest, sched from {quoted(features / 'flight_schedule.parquet')} "
            "where sched >= ? order by sched, carrier, flight limit ?",
            [minutes, count],
        )
        .fetchall()
    )
    flights = [
        {
            "carrier": carrier,
            "flight": flight,
            "origin": origin,
            "dest": dest,
            "sched_dep": datetime.fromtimestamp(sched * 60, now.tzinfo).isoformat(),
        }
        for carrier, flight, origin, dest, sched in rows
    ]
    return json.dumps({"flights": flights, "explain": True}, indent=1)
