"""Look at the guard-rails once, and take back what has broken one: `python -m boxplat.releases.comparison.watch`.

The supervisor starts it now and then. Looking is done by threads of the lowest priority, so that it takes no time from
the endpoints; acting is not, because it is for when something is wrong.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from boxplat.core.config import Config, load
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths, find_root
from boxplat.core.state import StateStore
from boxplat.core.values import seconds
from boxplat.releases.comparison.guarded import Guarded, guarded
from boxplat.releases.why.periods import periods

if TYPE_CHECKING:
    from boxplat.releases.comparison.compare import Comparison
    from boxplat.releases.comparison.guards import Breach, Look

BREACH, VERDICT, BLIND = "guard.breached", "comparison.verdict", "guard.blind"
BY = "guard"
_LOWEST = 19
T = TypeVar("T")


def due(state: StateStore, config: Config) -> dict[str, Guarded]:
    """The endpoints with declared guard-rails of which a release is under guard now."""
    found = {}
    for endpoint, said in config.guards.items():
        known = periods(state.record.entries(f"endpoint/{endpoint}"))
        who = guarded(known, seconds(said.young), time.time())
        if who is not None:
            found[endpoint] = who
    return found


def look(state: StateStore, paths: Paths, config: Config) -> list[Breach]:
    """Look at every endpoint that is due, and return the breaches that were acted upon."""
    acted: list[Breach] = []
    for endpoint, who in due(state, config).items():
        try:
            seen = _unhurried(_looking(state, paths, config, endpoint, who))
            _tell_blind(state, endpoint, seen.blind, who)
            if seen.beside is not None:
                _tell_verdict(state, endpoint, seen.beside, who)
            # While it was looked at somebody may have changed what it serves: then the next look will see.
            if seen.breaches and due(state, config).get(endpoint) == who:
                _take_back(state, paths, config, endpoint, who, seen.breaches)
                acted += seen.breaches
        except BoxError as error:
            print(error, file=sys.stderr, flush=True)
        except Exception:
            # What is wrong with one endpoint must not keep the others without a guard.
            traceback.print_exc()
    return acted


def _looking(state: StateStore, paths: Paths, config: Config, endpoint: str, who: Guarded) -> Callable[[], Look]:
    def looking() -> Look:
        from boxplat.releases.comparison import guards

        return guards.look(state, paths, config, endpoint, who)

    return looking


def _unhurried(work: Callable[[], T]) -> T:
    """Done in a thread of the lowest priority, which the threads that it starts inherit."""
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        with suppress(OSError):
            # Of this thread only: elsewhere than on Linux there is no such thing.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        try:
            done.append(work())
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def _take_back(
    state: StateStore, paths: Paths, config: Config, endpoint: str, who: Guarded, found: Sequence[Breach]
) -> None:
    from boxplat.releases.traffic import rollback

    facts = [asdict(one) for one in found]
    for one, fact in zip(found, facts, strict=True):
        said = {"number": one.release, "guard": one.guard, "value": one.found, **fact["evidence"], "limit": one.limit}
        _record_once(state, endpoint, BREACH, said, ("number", "guard"), who.since)
    words = ", ".join(f"{one.guard} {one.found:.4g} above {one.limit:g}" for one in found)
    reason = f"release {who.newer} broke its guard-rails: {words}"
    print(f"{endpoint}: {reason}", flush=True)
    rollback(state, paths, config, endpoint, BY, reason=reason, evidence={"guards": facts})


def _tell_blind(state: StateStore, endpoint: str, blind: Sequence[str], who: Guarded) -> None:
    """An event for each guard-rail that cannot be looked at, once: nobody would notice what does not happen."""
    told = [one for one in state.events.all(subject=endpoint) if one.kind == BLIND and one.at >= who.since]
    known = {str(one.data.get("why")) for one in told}
    for why in blind:
        if why not in known:
            state.events.append(endpoint, BLIND, {"release": who.newer, "why": why})


def _tell_verdict(state: StateStore, endpoint: str, found: Comparison, who: Guarded) -> None:
    """Put a verdict on record when it is first reached."""
    if found.verdict == "undecided":
        return
    said = {
        "releases": [found.older, found.newer],
        "verdict": found.verdict.value,
        "method": "mixture of bets, valid at any time",
        "by": found.method,
        "loss": found.loss,
        "level": found.level,
        "margin": found.margin,
        "effect": asdict(found.effect),
        "problems": list(found.problems),
    }
    _record_once(state, endpoint, VERDICT, said, ("releases", "verdict"), who.since)


def _record_once(
    state: StateStore, endpoint: str, kind: str, said: Mapping[str, Any], same: tuple[str, ...], since: float
) -> None:
    """An entry and an event, unless there has been one with the same facts since then."""
    subject = f"endpoint/{endpoint}"
    for entry in state.record.entries(subject, (kind,)):
        if entry.at >= since and all(entry.data.get(name) == said[name] for name in same):
            return
    with state.database.write() as tx:
        tx.event(endpoint, kind, said)
        state.record.append(tx, subject, kind, BY, said)


def main() -> None:
    """Of the project in the working directory."""
    paths = Paths(find_root(Path.cwd()))
    state = StateStore.open(paths)
    try:
        look(state, paths, load(paths.config, os.environ))
    except BoxError as error:
        sys.exit(str(error))
    except Exception:
        traceback.print_exc()
        sys.exit(1)
    finally:
        state.close()


if __name__ == "__main__":
    main()
