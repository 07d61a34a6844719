"""`box gc`: look, choose, mark, delete, sweep, and measure what came of it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from boxplat.adapters import tracking_store
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.sizes import on_disk
from boxplat.core.state import StateStore
from boxplat.gc import freeing
from boxplat.gc.choice import choose
from boxplat.gc.gather import Found, gather
from boxplat.gc.model import Limits, Outcome, Plan

Told = Callable[[str], None]


def gc(state: StateStore, paths: Paths, config: Config, limits: Limits, by: str | None, told: Told) -> Outcome:
    """Finish what an earlier one was killed over, and let everything go that is beyond the limits.

    Args:
        by: who does it; None: nothing is changed, it is only told what would go.

    Raises:
        BoxError: another one is at work (exit code 1).
    """
    if by is None:
        found, began = gather(state, paths, config, limits)
        return Outcome(_plan(paths, found, limits, began))
    with _alone(paths):
        before = freeing.finish(state, paths, limits, told)
        told("looking at what there is")
        _settle(state, paths)
        found, began = gather(state, paths, config, limits)
        plan = _plan(paths, found, limits, began)
        # Room for the marks first: the disk may be full.
        freeing.loose(paths, plan.chosen)
        freeing.mark(state, paths, plan.chosen, by)
        left = [*before, *freeing.finish(state, paths, limits, told)]
        told("sweeping artifacts")
        left += [
            f"the artifacts of {flow}, which is running" for flow in freeing.sweep(state, paths, found.busy, began)
        ]
        _settle(state, paths)
        outcome = Outcome(plan, on_disk([paths.state]), tuple(dict.fromkeys(left)))
        facts = {"freed": outcome.freed, "said": plan.bytes, "things": len(plan.chosen), "by": by}
        state.events.append("box", "gc.freed", facts)
    return outcome


def _settle(state: StateStore, paths: Paths) -> None:
    """Journals of databases grow and shrink by megabytes, which would be taken for what is freed."""
    state.database.settle()
    tracking_store.settle(paths.mlflow)


def _plan(paths: Paths, found: Found, limits: Limits, now: float) -> Plan:
    plan = choose(found.items, found.shared, on_disk([paths.state]), limits, now)
    notes = tuple(f"{flow} is running: the artifacts that its runs share stay for now" for flow in sorted(found.busy))
    return replace(plan, kept=dict(found.kept), notes=notes)


@contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    file = os.open(paths.state / "gc.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BoxError(
            "another box gc is at work",
            why="two at once would not know what the other frees",
            fix="box gc --dry-run   (or try again when it has ended)",
        ) from error
    finally:
        os.close(file)
