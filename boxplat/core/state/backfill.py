"""What a box had decided before it kept a record: its releases and its traffic, from the tables and the event log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.core.state.database import Transaction

Told = tuple[str, str, str, Mapping[str, Any]]
_OLD = ("endpoint.traffic", "release.failed")


def past(tx: Transaction) -> Iterator[Told]:
    """Subject, kind, who, and data of each old decision, oldest first; `when` in the data is the time that it was made.

    They are as trustworthy as the tables that they are taken from: the chain begins with them.
    """
    told = sorted([*_releases(tx), *_traffic(tx)], key=lambda one: float(one[3]["when"]))
    yield from told
    latest = {subject: data["weights"] for subject, kind, _, data in told if kind == "traffic.set"}
    now: dict[str, dict[str, int]] = {}
    for row in tx.execute("select endpoint, number, weight from traffic order by endpoint, number").fetchall():
        now.setdefault(f"endpoint/{row['endpoint']}", {})[str(row["number"])] = row["weight"]
    for subject, weights in now.items():
        if latest.get(subject) != weights:
            yield subject, "traffic.set", "boxplat", {"weights": weights, "reason": "as it was when the record began"}


def _releases(tx: Transaction) -> Iterator[Told]:
    for row in tx.execute("select * from release order by created, endpoint, number").fetchall():
        data = {
            name: row[name] for name in ("number", "bento", "model", "model_version", "feature_service", "environment")
        }
        yield f"endpoint/{row['endpoint']}", "release.created", row["created_by"], {**data, "when": row["created"]}


def _traffic(tx: Transaction) -> Iterator[Told]:
    marks = ", ".join("?" * len(_OLD))
    for row in tx.execute(f"select * from event where kind in ({marks}) order by id", _OLD).fetchall():
        data = json.loads(row["data"])
        by, subject = str(data.pop("by", "unknown")), f"endpoint/{row['subject']}"
        kind = "traffic.set" if row["kind"] == "endpoint.traffic" else row["kind"]
        yield subject, kind, by, {**data, "when": row["at"], "event": row["id"]}
