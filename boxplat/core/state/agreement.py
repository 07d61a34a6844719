"""Whether the state is what the record says: releases as they were made, traffic as it was last set."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from boxplat.core.state.chain import Entry, Fault

# What a release is made of: columns of its row, and keys of its first entry.
_MADE_OF = ("bento", "model", "model_version", "feature_service", "environment")
_ENDPOINT = "endpoint/"


def disagreements(db: sqlite3.Connection, entries: Iterable[Entry]) -> Iterator[Fault]:
    """Rows of releases and of traffic that are not what their entries say.

    Args:
        entries: of a record in which all are sound, the oldest first.
    """
    own = [one for one in entries if one.subject.startswith(_ENDPOINT)]
    rows = {(row["endpoint"], row["number"]): dict(row) for row in db.execute("select * from release").fetchall()}
    for entry in own:
        if entry.kind == "release.created":
            yield from _made(entry, rows.get((entry.subject.removeprefix(_ENDPOINT), entry.data.get("number"))))
    yield from _traffic(db, {one.subject: one for one in own if one.kind == "traffic.set"})


def _made(entry: Entry, row: Mapping[str, Any] | None) -> Iterator[Fault]:
    if row is None:
        yield Fault(entry.number, "contradicted", f"the state has no release {entry.data.get('number')} of it any more")
        return
    for key in _MADE_OF:
        if key in entry.data and entry.data[key] != row[key]:
            said = f"its {key} is {entry.data[key]}, the state has {row[key]}"
            yield Fault(entry.number, "contradicted", f"release {row['number']} of {row['endpoint']}: {said}")


def _traffic(db: sqlite3.Connection, last: Mapping[str, Entry]) -> Iterator[Fault]:
    now: dict[str, dict[str, int]] = {}
    for row in db.execute("select endpoint, number, weight from traffic where weight > 0").fetchall():
        now.setdefault(f"{_ENDPOINT}{row['endpoint']}", {})[str(row["number"])] = row["weight"]
    for subject, entry in last.items():
        said = entry.data.get("weights")
        if said != now.get(subject, {}):
            yield Fault(
                entry.number, "contradicted", f"it set the traffic to {said}, the state has {now.get(subject, {})}"
            )
    for subject in sorted(now.keys() - last.keys()):
        yield Fault(None, "contradicted", f"no entry tells of the traffic of {subject.removeprefix(_ENDPOINT)}")
