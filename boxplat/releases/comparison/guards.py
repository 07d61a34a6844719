"""The guard-rails of a new release: what it is measured by, and when it has broken one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.live import GuardsConfig, OutcomesConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.values import seconds
from boxplat.releases.comparison import units
from boxplat.releases.comparison.betting import Array, Wealth, bets
from boxplat.releases.comparison.compare import Comparison, compare
from boxplat.releases.comparison.drift import stability_index
from boxplat.releases.comparison.guarded import Guarded
from boxplat.releases.comparison.verdict import evidence
from boxplat.releases.outcomes import joined, store
from boxplat.releases.outcomes.losses import loss
from boxplat.serving.log import reading
from boxplat.serving.log.asking import folder_of

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection

# The level of the tests that a share is above its limit, each over one window.
LEVEL = 0.001


@dataclass(frozen=True, slots=True)
class Breach:
    """A guard-rail that the release broke: what was found, what the limit was, and what that rests on."""

    guard: str
    release: int
    found: float
    limit: float
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a release: the guard-rails that it breaks now, the comparison with the one beside it, where there is
    one, and what could not be looked at, each with the reason."""

    breaches: tuple[Breach, ...]
    beside: Comparison | None
    blind: tuple[str, ...]


@dataclass(frozen=True)
class Guard:
    """Looks at one release as of a time (seconds since the epoch). No look reads more than what is declared needs, and
    none depends on another."""

    state: StateStore
    paths: Paths
    config: Config
    endpoint: str
    who: Guarded
    now: float

    @property
    def limits(self) -> GuardsConfig:
        return self.config.guards[self.endpoint]

    @property
    def said(self) -> OutcomesConfig:
        return self.config.outcomes.get(self.endpoint, OutcomesConfig())

    @property
    def window(self) -> float:
        """Its beginning."""
        return max(self.who.since, self.now - seconds(self.limits.window))

    def requests(self) -> Iterator[Breach]:
        """Too many failures, or too many answers beyond the time that 1 % of them may take."""
        limits, number = self.limits, self.who.newer
        own = f"release = {number} and not coalesce(shadow, false) and time >= {_sql(self.window)}"
        sql = f"select status >= 500 as failed, 1000 * seconds as ms from requests where {own}"
        found = reading.query(folder_of(self.paths, self.endpoint), sql, _moment(self.window))
        failed, ms = (_floats(found.column(name).to_numpy()) for name in ("failed", "ms"))
        if len(failed) < limits.least:
            return
        facts: dict[str, Any] = {"requests": len(failed), "window": limits.window, "level": LEVEL}
        if limits.errors and (proof := above(failed, limits.errors)) >= 1 / LEVEL:
            more = {"failed": int(failed.sum()), "e_value": proof}
            yield Breach("errors", number, float(failed.mean()), limits.errors, facts | more)
        slow = _floats(ms > limits.p99_ms)
        if limits.p99_ms and (proof := above(slow, 0.01)) >= 1 / LEVEL:
            more = {"slower": int(slow.sum()), "e_value": proof}
            yield Breach("p99_ms", number, float(np.quantile(ms, 0.99)), limits.p99_ms, facts | more)

    def drift(self) -> Iterator[Breach]:
        """Scores that are not those of the older release, beside it or before."""
        limits, who = self.limits, self.who
        if not limits.drift:
            return
        begin = self.window if who.beside else min(self.window, who.since - seconds(limits.window))

        sql = f"""
            select * from (select release, time, try(({self.said.prediction})::double) as score from predictions
                where status between 200 and 299 and not coalesce(shadow, false) and time >= {_sql(begin)})
            where isfinite(score)
                and (release = {who.older} or release = {who.newer} and time >= {_sql(self.window)})"""
        found = reading.query(folder_of(self.paths, self.endpoint), sql, _moment(begin))
        scores, own = (found.column(name).to_numpy() for name in ("score", "release"))
        older, newer = _floats(scores[own == who.older]), _floats(scores[own == who.newer])
        if min(len(older), len(newer)) < limits.least:
            return
        index = stability_index(older, newer)
        if index > limits.drift:
            facts = {"scores": len(newer), "against": who.older, "of_those": len(older), "window": limits.window}
            yield Breach("drift", who.newer, index, limits.drift, facts)

    def loss(self) -> Iterator[Breach]:
        """A mean loss that is surely above its limit."""
        limits, who = self.limits, self.who
        if not limits.loss:
            return
        what, level = loss(self.said), limits.alpha or LEVEL

        def ask(con: Connection) -> Array:
            store.view(con, store.files(store.folder_of(self.paths, self.endpoint)))
            joined.prepare(con, self.said, f"release = {who.newer} and time >= {_sql(who.since)}")
            return units.of_release(con, self.said, who.newer, self.now)

        losses = reading.asked(folder_of(self.paths, self.endpoint), ask, _moment(who.since))
        proof = above(losses, limits.loss / what.bound)
        if proof >= 1 / level:
            facts = {"loss": what.name, "units": len(losses), "level": level, "e_value": proof}
            yield Breach("loss", who.newer, float(losses.mean()) * what.bound, limits.loss, facts)

    def beside(self) -> Comparison | None:
        """The comparison with the release beside it, where somebody wants to know."""
        wanted = self.limits.alpha or self.endpoint in self.config.outcomes
        if not self.who.beside or not wanted:
            return None
        pair = (self.who.older, self.who.newer)
        return compare(self.state, self.paths, self.config, self.endpoint, pair, self.who.since, self.now)


def look(
    state: StateStore, paths: Paths, config: Config, endpoint: str, who: Guarded, now: float | None = None
) -> Look:
    """Look at a release of an endpoint with declared guard-rails."""
    guard = Guard(state, paths, config, endpoint, who, time.time() if now is None else now)
    found: list[Breach] = []
    blind: list[str] = []
    looks: list[tuple[str, Callable[[], Iterator[Breach]]]] = [
        ("errors, p99_ms", guard.requests),
        ("drift", guard.drift),
        ("loss", guard.loss),
    ]
    for name, breaches in looks:
        try:
            found += breaches()
        except BoxError as error:
            blind.append(f"{name}: {error.what} ({error.why})")
    beside = None
    try:
        beside = guard.beside()
    except BoxError as error:
        blind.append(f"alpha: {error.what} ({error.why})")
    if beside is not None:
        found += _worse(guard.limits, who, beside)
    return Look(tuple(found), beside, tuple(blind))


def _worse(limits: GuardsConfig, who: Guarded, beside: Comparison) -> Iterator[Breach]:
    if limits.alpha and beside.effect.against >= 1 / limits.alpha:
        effect = {name: value for name, value in asdict(beside.effect).items() if name != "against"}
        facts = {"loss": beside.loss, "against": who.older, "level": limits.alpha, "e_value": beside.effect.against}
        yield Breach("alpha", who.newer, beside.effect.estimate or 0.0, 0.0, facts | {"effect": effect})


def above(values: Array, limit: float) -> float:
    """The evidence that values from 0 to 1, in the order in which they came, have a mean above `limit`."""
    return evidence(Wealth.of(values - limit, np.ones(len(values)), bets(limit / 2)).above()) if len(values) else 1.0


def _sql(at: float) -> str:
    return f"timestamptz '{_moment(at).isoformat()}'"


def _moment(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


def _floats(values: object) -> Array:
    return np.asarray(values, dtype=float)
