"""Whether the state is what the record says: releases as they were made, traffic as it was last set."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from boxplat.core.concealed import concealed
from boxplat.core.state.chain import Entry, Fault, plain

_Row = Mapping[str, Any]
# Columns of a release, by the key that its first entry has them under.
_MADE_OF = {
    "bento": "bento",
    "model": "model",
    "model_version": "model_version",
    "feature_service": "feature_service",
    "environment": "environment",
    "tracking_run": "run",
}
_DOCUMENTS = {"settings": "settings", "gates": "evidence"}
_ENDPOINT = "endpoint/"


def disagreements(db: sqlite3.Connection, entries: Iterable[Entry]) -> Iterator[Fault]:
    """Rows of releases and of traffic that are not what their entries say.

    Args:
        entries: of a record in which all are sound, the oldest first.
    """
    own = [one for one in entries if one.subject.startswith(_ENDPOINT)]
    made = {(_endpoint(one), one.data.get("number")): one for one in own if one.kind == "release.created"}
    rows = {(row["endpoint"], row["number"]): dict(row) for row in db.execute("select * from release").fetchall()}
    for key, entry in made.items():
        yield from _made(entry, rows.get(key))
    for endpoint, number in sorted(rows.keys() - made.keys()):
        yield Fault(None, "contradicted", f"no entry tells of release {number} of {endpoint}")
    yield from _traffic(db, {_endpoint(one): one for one in own if one.kind == "traffic.set"})


def _endpoint(entry: Entry) -> str:
    return entry.subject.removeprefix(_ENDPOINT)


def _made(entry: Entry, row: _Row | None) -> Iterator[Fault]:
    if row is None:
        yield Fault(entry.number, "contradicted", f"the state has no release {entry.data.get('number')} of it any more")
        return
    now = {key: row[column] for key, column in _MADE_OF.items()}
    now |= {key: plain(_shown(key, row[column])) for key, column in _DOCUMENTS.items()}
    said = {**entry.data, "by": entry.by}
    for key, value in {**now, "by": row["created_by"]}.items():
        if key in said and (said[key] or None) != (value or None):
            words = f"its {key} is {said[key]}, the state has {value}"
            yield Fault(entry.number, "contradicted", f"release {row['number']} of {row['endpoint']}: {words}")


def _shown(key: str, text: Any) -> Any:
    """A document as the entry has it."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return text
    return concealed(found) if key == "settings" and isinstance(found, dict) else found


def _traffic(db: sqlite3.Connection, last: Mapping[str, Entry]) -> Iterator[Fault]:
    now: dict[str, dict[str, int]] = {}
    for row in db.execute("select endpoint, number, weight from traffic where weight > 0").fetchall():
        now.setdefault(row["endpoint"], {})[str(row["number"])] = row["weight"]
    shadows = {row["name"]: row["shadow"] for row in db.execute("select name, shadow from endpoint").fetchall()}
    for endpoint, entry in last.items():
        said, found = entry.data.get("weights"), now.get(endpoint, {})
        if said != found:
            yield Fault(entry.number, "contradicted", f"it set the traffic to {said}, the state has {found}")
        shadow, found_shadow = entry.data.get("shadow"), shadows.get(endpoint)
        if shadow != found_shadow:
            yield Fault(entry.number, "contradicted", f"it set the shadow to {shadow}, the state has {found_shadow}")
    for endpoint in sorted(now.keys() - last.keys()):
        yield Fault(None, "contradicted", f"no entry tells of the traffic of {endpoint}")
