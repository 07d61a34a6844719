"""Aliases that have to follow the traffic of a rollback: moved right after it, or when tracking answers again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.changes import Change
from boxplat.releases.aliases import MOVED, holder, move


def deliver(state: StateStore, change: Change) -> bool:
    """Move the alias that a change owes. False: tracking does not answer now.

    An alias that tracking refuses to move, because its model or version is gone, is owed no longer; that is an event.
    """
    if change.owed is None:
        return True
    model, alias = str(change.owed["model"]), str(change.owed["alias"])
    facts = {"endpoint": change.endpoint, "reason": change.reason or f"{change.kind} of {change.endpoint}"}
    try:
        if holder(state, model, alias) == change.owed["version"]:
            state.changes.paid(change.id)
            return True
        move(state, model, alias, int(change.owed["version"]), change.by, MOVED, facts, back=True)
    except BoxError as error:
        if error.code is ExitCode.NO_BOX:
            return False
        facts["why"] = f"{error.what}: {error.why}"
        state.events.append(f"model/{model}", "model.alias_lost", {**change.owed, **facts})
    state.changes.paid(change.id)
    return True


def main() -> None:
    """Deliver all that is owed: `python -m boxplat.releases.owed`, which the supervisor starts when tracking is up."""
    state = StateStore.open(Paths(Path(os.environ.get("BOXPLAT_PROJECT") or os.getcwd())))
    newest: dict[tuple[str, str], Change] = {}
    for change in state.changes.owing():
        assert change.owed is not None
        key = str(change.owed["model"]), str(change.owed["alias"])
        if key in newest:
            # A later rollback has the last word.
            state.changes.paid(newest[key].id)
        newest[key] = change
    if not all([deliver(state, change) for change in newest.values()]):
        sys.exit("tracking does not answer")


if __name__ == "__main__":
    main()
