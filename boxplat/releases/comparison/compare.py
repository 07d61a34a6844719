"""Compare two releases of an endpoint on everything that is known of them by now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.live import OutcomesConfig
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.comparison import traffic, units
from boxplat.releases.comparison.serving import Answers, answers
from boxplat.releases.comparison.verdict import Effect, Verdict, effect, imbalance
from boxplat.releases.outcomes import joined, store
from boxplat.releases.outcomes.losses import loss
from boxplat.releases.why.periods import Period, periods
from boxplat.serving.log import reading
from boxplat.serving.log.asking import folder_of

if TYPE_CHECKING:
    from boxplat.serving.log.reading import Connection


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two releases of an endpoint beside each other.

    `method` is "split" (units went to one of them by chance) or "shadow" (one answered for the other's, unseen).
    `since` is seconds since the epoch. `problems` are reasons not to trust the verdict.
    """

    endpoint: str
    older: int
    newer: int
    method: str
    since: float
    loss: str
    level: float
    margin: float
    effect: Effect
    answers: tuple[Answers, ...]
    problems: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        return self.effect.verdict


def compare(
    state: StateStore,
    paths: Paths,
    config: Config,
    endpoint: str,
    pair: Sequence[int] | None = None,
    since: float | None = None,
    now: float | None = None,
) -> Comparison:
    """Compare two releases.

    Args:
        pair: their numbers, the older one first; by default those that were last beside each other.
        since: seconds since the epoch; by default since they first were.
        now: seconds since the epoch; labels that count later are left out.

    Raises:
        BoxError: no such endpoint or release (exit code 9), never beside each other (4), a setting that is none (2).
    """
    if endpoint not in config.endpoints:
        raise not_found("endpoint", endpoint, config.endpoints, "box endpoints")
    said = config.outcomes.get(endpoint, OutcomesConfig())
    known = periods(state.record.entries(f"endpoint/{endpoint}"))
    older, newer = _pair(state, endpoint, known, pair)
    method, spans = _spans(endpoint, known, older, newer)
    _assigned_by(config, endpoint, said, method)
    begin = spans[0][0] - traffic.LAG_SECONDS if since is None else since
    moment = _moment(begin)
    of = units.of_shadow if method == "shadow" else units.of_split
    where = f"release in ({older}, {newer}) and time >= timestamptz '{moment.isoformat()}'"

    def ask(con: Connection) -> tuple[units.Units, dict[int, Answers], bool]:
        store.view(con, store.files(store.folder_of(paths, endpoint)))
        joined.prepare(con, said, where)
        found = of(con, said, (older, newer), spans, time.time() if now is None else now)
        return found, answers(con, (older, newer), where), joined.grouped(con)

    found, served, grouped = reading.asked(folder_of(paths, endpoint), ask, moment)
    what = loss(said)
    return Comparison(
        endpoint=endpoint,
        older=older,
        newer=newer,
        method=method,
        since=begin,
        loss=what.name,
        level=said.level,
        margin=said.margin,
        effect=effect(found, said.level, said.margin, what.bound),
        answers=(served[older], served[newer]),
        problems=tuple(_problems(found, method, said, grouped)),
    )


def _pair(state: StateStore, endpoint: str, known: Sequence[Period], wanted: Sequence[int] | None) -> tuple[int, int]:
    if wanted is None:
        found = traffic.pair(known)
        if found is None:
            raise _never(endpoint, "it never had two releases with traffic")
        return found
    numbers = {release.number for release in state.releases.all(endpoint)}
    for number in wanted:
        if number not in numbers:
            raise not_found("release", str(number), map(str, sorted(numbers)), "box endpoints")
    older, newer = sorted(wanted)
    if older == newer:
        fix = f"name two: box compare {endpoint} 7 8   (those that there are: box endpoints)"
        raise BoxError(f"release {older} is itself", why="two are compared", fix=fix, code=ExitCode.USAGE)
    return older, newer


def _spans(endpoint: str, known: Sequence[Period], older: int, newer: int) -> tuple[str, list[traffic.Span]]:
    """By chance where that ever was, else by pairs; the later of the two where both were."""
    split, shadow = (traffic.beside(known, older, newer, seen) for seen in (False, True))
    if not split and not shadow:
        raise _never(endpoint, f"releases {older} and {newer} never had traffic at the same time")
    if not split or (shadow and shadow[-1][1] > split[-1][1]):
        return "shadow", shadow
    return "split", split


def _moment(since: float) -> datetime:
    try:
        return datetime.fromtimestamp(since, UTC)
    except (ValueError, OverflowError, OSError) as error:
        fix = "give a span (30m, 1h, 2d) or an ISO time: --since 2026-01-31T12:00:00+00:00"
        raise BoxError(f"{since:g} is no time", why=str(error), fix=fix, code=ExitCode.USAGE) from error


def _never(endpoint: str, why: str) -> BoxError:
    return BoxError(
        f"there is nothing to compare at {endpoint}",
        why=why,
        fix=f"give a second release some of the traffic: box split {endpoint} 7=90 8=10",
        code=ExitCode.PRECONDITION,
    )


def _assigned_by(config: Config, endpoint: str, said: OutcomesConfig, method: str) -> None:
    """Requests that go together are one unit, and what they have in common must be known."""
    sticky = getattr(config.endpoints[endpoint], "sticky", "")
    if sticky and not said.unit and method == "split":
        raise BoxError(
            f"the requests of {endpoint} cannot be taken one by one",
            why=f"those with the same {sticky} go to the same release, so that each is no proof of its own",
            fix=f"name the key columns that stand for it: [outcomes.{endpoint}] unit = [...]   (docs/comparison.md)",
            code=ExitCode.PRECONDITION,
        )


def _problems(found: units.Units, method: str, said: OutcomesConfig, grouped: bool) -> list[str]:
    problems = []
    if said.unit and not grouped:
        names = ", ".join(said.unit)
        problems.append(f"no prediction has the keys {names} of [outcomes] unit: each request was taken by itself")
    seen = imbalance(found) if method == "split" else None
    return problems if seen is None else [*problems, _unequal(found, seen)]


def _unequal(found: units.Units, seen: float) -> str:
    return (
        f"{seen:.1%} of the labelled units were the newer release's, of the traffic {found.share.mean():.1%}: labels "
        "do not come alike for both, or the traffic was not divided as declared"
    )
