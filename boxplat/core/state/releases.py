"""Releases of endpoints, and which of them get the traffic."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping
from typing import Any

from boxplat.core.concealed import concealed
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import Release
from boxplat.core.state import changes
from boxplat.core.state.changes import Change
from boxplat.core.state.database import Database, Transaction
from boxplat.core.state.record import append

# Who is live or a shadow is told by the traffic's own entry.
_RECORDED = frozenset({"retired", "failed"})


class Releases:
    """Immutable, numbered releases per endpoint."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        endpoint: str,
        bento: str,
        model: str | None,
        model_version: int | None,
        feature_service: str | None,
        environment: str,
        by: str,
        run: str | None = None,
        settings: Mapping[str, Any] | None = None,
        evidence: Mapping[str, Any] | None = None,
    ) -> Release:
        """Make the endpoint's next release.

        Args:
            environment: digest of the Python environment that it was made in.
            run: tracking run that made the model version.
            settings: of its processes.
            evidence: what speaks for it, as the verdict of its gates.
        """
        with self._database.write() as tx:
            values = (bento, model, model_version, feature_service, environment, by, run)
            return _add(tx, endpoint, values, settings or {}, evidence or {})

    def deploy(
        self,
        endpoint: str,
        by: str,
        others: Mapping[int, int],
        percent: int,
        reason: str,
        evidence: Mapping[str, Any],
        **made_of: Any,
    ) -> tuple[Release, Change]:
        """Make the endpoint's next release and begin the change that is to give it its percent of the requests.

        Args:
            others: percent of the other releases.
            made_of: bento, model, model_version, feature_service, environment, run, settings, and `features`: a digest
                of the definition of each.
        """
        settings, features = made_of.pop("settings"), made_of.pop("features")
        values = tuple(made_of[key] for key in ("bento", "model", "model_version", "feature_service", "environment"))
        with self._database.write() as tx:
            release = _add(tx, endpoint, (*values, by, made_of["run"]), settings, evidence, features)
            # Who only looks on goes on looking.
            shadow = _shadow(tx.connection, endpoint)
            return release, changes.begin(
                tx, endpoint, "deploy", {**others, release.number: percent}, by, shadow, reason
            )

    def all(self, endpoint: str | None = None) -> list[Release]:
        """The newest releases first."""
        where, values = ("where endpoint = ?", (endpoint,)) if endpoint else ("", ())
        with self._database.read() as db:
            rows = db.execute(f"select * from release {where} order by endpoint, number desc", values).fetchall()
            return [_release(row) for row in rows]

    def serviceable(self) -> list[tuple[str, int]]:
        """(endpoint, number) of every release that has not failed. Cheap, also where there are thousands."""
        with self._database.read() as db:
            rows = db.execute("select endpoint, number from release where state <> 'failed' order by endpoint, number")
            return [(row["endpoint"], row["number"]) for row in rows.fetchall()]

    def abandon(self, change: Change, numbers: Iterable[int], by: str, why: str) -> None:
        """End a change that came to nothing; these releases must not serve."""
        with self._database.write() as tx:
            for number in numbers:
                _mark(tx, change.endpoint, number, "failed", by, why)
            changes.end(tx, change.id, why)

    def traffic(self, endpoint: str) -> dict[int, int]:
        """Percent of the requests by release number."""
        with self._database.read() as db:
            return _traffic(db, endpoint)

    def shadow(self, endpoint: str) -> int | None:
        """The release that gets a copy of each request, whose answers nobody sees."""
        with self._database.read() as db:
            return _shadow(db, endpoint)

    def check(self, endpoint: str, weights: Mapping[int, int], shadow: int | None) -> None:
        """Raise what `split` would raise, and change nothing."""
        _valid(endpoint, weights, shadow)
        with self._database.read() as db:
            _serviceable(db, endpoint, {*weights} | ({shadow} if shadow else set()))

    def split(
        self,
        endpoint: str,
        weights: Mapping[int, int],
        by: str,
        *,
        shadow: int | None = None,
        reason: str = "",
        evidence: Mapping[str, Any] | None = None,
        kind: str = "split",
        change: int | None = None,
        failed: Mapping[int, str] | None = None,
        owed: Mapping[str, Any] | None = None,
    ) -> Change:
        """Send an endpoint's requests to these releases; traffic, their states, record and event in one transaction.

        The one way to change traffic. It starts no process: who needs that opens a change first.

        Args:
            weights: percent by release number; none: nobody gets any.
            shadow: a release that gets a copy of each request.
            evidence: why, for the record.
            change: id of the change that this is the traffic step of (None: there is no other step).
            failed: releases that must not serve again, each with the reason.
            owed: the alias (model, alias, version) that has to follow, for `Changes.owing`.

        Raises:
            BoxError: weights that are not whole percents that add up to 100, or a shadow among them (exit code 2), a
                release that does not exist (9) or has failed (1). Then nothing has changed.
        """
        wanted = {number: weight for number, weight in weights.items() if weight != 0}
        _valid(endpoint, wanted, shadow)
        with self._database.write() as tx:
            for number, why in (failed or {}).items():
                _mark(tx, endpoint, number, "failed", by, why)
            _serviceable(tx.connection, endpoint, {*wanted} | ({shadow} if shadow else set()))
            found = change or changes.begin(tx, endpoint, kind, wanted, by, shadow, reason).id
            before, shade = _traffic(tx.connection, endpoint), _shadow(tx.connection, endpoint)
            changes.moved(tx, found, before, shade, evidence or {}, owed)
            _route(tx, endpoint, wanted, shadow)
            _states(tx, endpoint, wanted, shadow, by)
            moved = changes.of(tx.execute("select * from change where id = ?", (found,)).fetchone())
            facts = {"weights": wanted, "before": before, "shadow": shadow, "kind": moved.kind, "change": found}
            facts["reason"] = reason or moved.reason
            tx.event(endpoint, "endpoint.traffic", {**facts, "by": by})
            append(tx, f"endpoint/{endpoint}", "traffic.set", by, {**facts, "evidence": evidence or {}})
            return moved


def _valid(endpoint: str, weights: Mapping[int, int], shadow: int | None) -> None:
    if weights and (sum(weights.values()) != 100 or min(weights.values()) < 0):
        said = " ".join(f"{number}={weight}" for number, weight in weights.items())
        raise BoxError(
            f"the split of {endpoint} does not add up to 100 percent",
            why=f"{said}: {sum(weights.values())} in all, each from 0 to 100",
            fix=f"box split {endpoint} RELEASE=PERCENT …   (the releases: box endpoints)",
            code=ExitCode.USAGE,
        )
    if shadow is not None and weights.get(shadow):
        raise BoxError(
            f"release {shadow} of {endpoint} cannot get requests and copies of them",
            why="copies are dropped when it is busy, and its own requests would be refused with them",
            fix=f"box split {endpoint} RELEASE=PERCENT … --shadow ANOTHER",
            code=ExitCode.USAGE,
        )


def _serviceable(db: sqlite3.Connection, endpoint: str, numbers: set[int]) -> None:
    rows = db.execute("select number, state from release where endpoint = ?", (endpoint,)).fetchall()
    known = {row["number"]: row["state"] for row in rows}
    for number in sorted(numbers):
        if number not in known:
            raise not_found(f"release of {endpoint}", str(number), map(str, known), "box endpoints")
        if known[number] == "failed":
            raise BoxError(
                f"release {number} of {endpoint} has failed and gets no requests",
                why="it did not become ready, or it crashed soon after it got traffic",
                fix=f"correct it, then: box deploy {endpoint}",
            )


def _add(
    tx: Transaction,
    endpoint: str,
    values: tuple[Any, ...],
    settings: Mapping[str, Any],
    evidence: Mapping[str, Any],
    features: Mapping[str, str] | None = None,
) -> Release:
    row = tx.execute("select max(number) as n from release where endpoint = ?", (endpoint,)).fetchone()
    number = int(row["n"] or 0) + 1
    texts = (json.dumps(dict(settings), sort_keys=True), json.dumps(dict(evidence), sort_keys=True, default=str))
    tx.execute(
        "insert into release (endpoint, number, created, bento, model, model_version, feature_service, environment, "
        "created_by, run, settings, evidence) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (endpoint, number, time.time(), *values, *texts),
    )
    found = tx.execute("select * from release where endpoint = ? and number = ?", (endpoint, number)).fetchone()
    release = _release(found)
    facts = {key: getattr(release, key) for key in ("number", "bento", "model", "model_version")}
    tx.event(endpoint, "release.created", {**facts, "by": release.created_by})
    facts |= {key: getattr(release, key) for key in ("feature_service", "environment")}
    # What is appended stays for ever: no password of `env` may be in it.
    facts["settings"] = concealed(release.settings)
    facts |= {"tracking_run": release.run, "gates": release.evidence or None, "features": features or {}}
    append(tx, f"endpoint/{endpoint}", "release.created", release.created_by, facts)
    return release


def _traffic(db: sqlite3.Connection, endpoint: str) -> dict[int, int]:
    rows = db.execute("select number, weight from traffic where endpoint = ? order by number", (endpoint,))
    return {row["number"]: row["weight"] for row in rows.fetchall()}


def _shadow(db: sqlite3.Connection, endpoint: str) -> int | None:
    row = db.execute("select shadow from endpoint where name = ?", (endpoint,)).fetchone()
    return row["shadow"] if row else None


def _mark(tx: Transaction, endpoint: str, number: int, state: str, by: str, why: str = "") -> None:
    done = tx.execute(
        "update release set state = ? where endpoint = ? and number = ? and state <> ?",
        (state, endpoint, number, state),
    )
    if done.rowcount:
        facts = {"number": number} | ({"why": why} if why else {})
        tx.event(endpoint, f"release.{state}", {**facts, "by": by})
        if state in _RECORDED:
            append(tx, f"endpoint/{endpoint}", f"release.{state}", by, facts)


def _states(tx: Transaction, endpoint: str, weights: Mapping[int, int], shadow: int | None, by: str) -> None:
    """Those with requests are live or shadow, those that had some are retired."""
    rows = tx.execute("select number, state from release where endpoint = ?", (endpoint,)).fetchall()
    for row in rows:
        number, state = row["number"], row["state"]
        if number in weights:
            _mark(tx, endpoint, number, "live", by)
        elif number == shadow:
            _mark(tx, endpoint, number, "shadow", by)
        elif state in ("live", "shadow"):
            _mark(tx, endpoint, number, "retired", by)


def _route(tx: Transaction, endpoint: str, weights: Mapping[int, int], shadow: int | None) -> None:
    tx.execute("delete from traffic where endpoint = ?", (endpoint,))
    for number, weight in weights.items():
        tx.execute("insert into traffic (endpoint, number, weight) values (?, ?, ?)", (endpoint, number, weight))
    tx.execute(
        "insert into endpoint (name, shadow) values (?, ?) on conflict (name) do update set shadow = excluded.shadow",
        (endpoint, shadow),
    )


def _release(row: sqlite3.Row) -> Release:
    values = {name: row[name] for name in Release.__dataclass_fields__}
    return Release(**values | {"settings": json.loads(row["settings"]), "evidence": json.loads(row["evidence"])})
