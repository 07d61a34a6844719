"""The guard-rails of a new release: what it is measured by, and when it has broken one."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from boxplat.core.config import Config
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


@dataclass(frozen=True)
class _Seen:
    """What the log has of the guarded release: failures and slowness of its requests within the window [N], scores of
    both releases, and the losses of its labelled units since it got traffic, in the order in which they counted."""

    failed: Array
    slow: Array
    p99_ms: float
    scores: Array
    former: Array
    losses: Array


def breaches(
    state: StateStore, paths: Paths, config: Config, endpoint: str, who: Guarded, now: float | None = None
) -> tuple[list[Breach], Comparison | None]:
    """The guard-rails that the release breaks now, and the comparison with the one beside it, where there is one.

    Raises:
        BoxError: a setting that is none (exit code 2).
    """
    guards, said = config.guards[endpoint], config.outcomes.get(endpoint, OutcomesConfig())
    at = time.time() if now is None else now
    seen = _seen(paths, endpoint, guards, said, who, at)
    found = [*_shares(guards, who, seen), *_drift(guards, who, seen), *_loss(guards, said, who, seen)]
    if not who.beside or not (guards.alpha or endpoint in config.outcomes):
        return found, None
    beside = compare(state, paths, config, endpoint, (who.older, who.newer), who.since, at)
    return [*found, *_worse(guards, who, beside)], beside


def _seen(paths: Paths, endpoint: str, guards: GuardsConfig, said: OutcomesConfig, who: Guarded, now: float) -> _Seen:
    """Only what is guarded is read: it is looked at again and again."""
    window = max(who.since, now - seconds(guards.window))
    # Where the older release has no traffic now, what it said before counts.
    begin = window if who.beside else min(window, who.since - seconds(guards.window))

    def ask(con: Connection) -> _Seen:
        store.view(con, store.files(store.folder_of(paths, endpoint)))
        own = f"release = {who.newer} and not coalesce(shadow, false) and time >= {_sql(window)}"
        times = con.sql(f"select status >= 500 as failed, 1000 * seconds as ms from requests where {own}").fetchnumpy()
        ms = _floats(times["ms"])
        p99 = float(np.quantile(ms, 0.99)) if len(ms) else math.nan
        scores = former = losses = np.empty(0)
        if guards.drift:
            both = f"release in ({who.older}, {who.newer}) and time >= {_sql(begin)}"
            joined.prepare(con, said, both)
            picked = "select score from asked where not shadow and isfinite(score) and release ="
            scores = _floats(con.sql(f"{picked} {who.newer} and time >= {_sql(window)}").fetchnumpy()["score"])
            former = _floats(con.sql(f"{picked} {who.older}").fetchnumpy()["score"])
        if guards.loss:
            joined.prepare(con, said, f"release = {who.newer} and time >= {_sql(who.since)}")
            losses = units.of_release(con, said, who.newer, now)
        return _Seen(_floats(times["failed"]), _floats(ms > guards.p99_ms), p99, scores, former, losses)

    oldest = min(begin, who.since) if guards.drift or guards.loss else window
    return reading.asked(folder_of(paths, endpoint), ask, _moment(oldest))


def _shares(guards: GuardsConfig, who: Guarded, seen: _Seen) -> Iterator[Breach]:
    """Too many failures, or too many answers beyond the time that 1 % of them may take."""
    facts: dict[str, Any] = {"requests": len(seen.failed), "window": guards.window, "level": LEVEL}
    if len(seen.failed) < guards.least:
        return
    if guards.errors and (proof := above(seen.failed, guards.errors)) >= 1 / LEVEL:
        failed = {"failed": int(seen.failed.sum()), "e_value": proof}
        yield Breach("errors", who.newer, float(seen.failed.mean()), guards.errors, facts | failed)
    if guards.p99_ms and (proof := above(seen.slow, 0.01)) >= 1 / LEVEL:
        slow = {"slower": int(seen.slow.sum()), "e_value": proof}
        yield Breach("p99_ms", who.newer, seen.p99_ms, guards.p99_ms, facts | slow)


def _drift(guards: GuardsConfig, who: Guarded, seen: _Seen) -> Iterator[Breach]:
    if not guards.drift or min(len(seen.scores), len(seen.former)) < guards.least:
        return
    index = stability_index(seen.former, seen.scores)
    if index > guards.drift:
        facts = {"scores": len(seen.scores), "against": who.older, "of_those": len(seen.former)}
        yield Breach("drift", who.newer, index, guards.drift, facts | {"window": guards.window})


def _loss(guards: GuardsConfig, said: OutcomesConfig, who: Guarded, seen: _Seen) -> Iterator[Breach]:
    if not guards.loss:
        return
    what, level = loss(said), guards.alpha or LEVEL
    proof = above(seen.losses, guards.loss / what.bound)
    if proof >= 1 / level:
        found = float(seen.losses.mean()) * what.bound
        facts = {"loss": what.name, "units": len(seen.losses), "level": level, "e_value": proof}
        yield Breach("loss", who.newer, found, guards.loss, facts)


def _worse(guards: GuardsConfig, who: Guarded, beside: Comparison) -> Iterator[Breach]:
    if guards.alpha and beside.effect.against >= 1 / guards.alpha:
        effect = {name: value for name, value in asdict(beside.effect).items() if name != "against"}
        facts = {"loss": beside.loss, "against": who.older, "level": guards.alpha, "e_value": beside.effect.against}
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
