"""Aliases of registered models: moved with an event and a record entry, and what had them before."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.state import StateStore
from boxplat.releases.models import tracking_url, versions

PROMOTED, MOVED, ROLLBACK, REFUSED = "model.promoted", "model.alias", "rollback", "model.refused"
# MLflow's rule; and no number, which would be taken for a version.
_NAME = re.compile(r"(?!(?:[vV]?\d+|(?i:latest))$)[\w-]{1,255}")


def check(alias: str) -> None:
    """Whether something can be an alias.

    Raises:
        BoxError: it cannot (exit code 2).
    """
    if not _NAME.fullmatch(alias):
        raise BoxError(
            f"no alias can be called {alias[:80]!r}",
            why="1 to 255 letters, digits, '-' and '_'; no number, nothing like v1, and not 'latest'",
            fix="take another name: --to champion",
            code=ExitCode.USAGE,
        )


def holder(state: StateStore, model: str, alias: str) -> int | None:
    """The version that has an alias now."""
    return next((one.version for one in versions(state, model) if alias in one.aliases), None)


def move(
    state: StateStore,
    model: str,
    alias: str,
    version: int | None,
    by: str,
    kind: str = MOVED,
    data: Mapping[str, Any] | None = None,
    *,
    back: bool = False,
) -> int | None:
    """Let an alias point at a version (None: at none), with an event and an entry in the record.

    Args:
        kind: of both; `data`: what else there is to know.
        back: it goes to what was before, so that the next way back leads further.

    Returns:
        The version that had it.

    Raises:
        BoxError: no such model (exit code 9), tracking does not answer (3), or refuses (1).
    """
    former = noted(state, model, alias)
    try:
        api = TrackingApi(tracking_url(state))
        if version is None:
            api.delete_alias(model, alias)
        else:
            api.set_alias(model, alias, str(version))
    except (TrackingDownError, TrackingRefusedError) as error:
        down = isinstance(error, TrackingDownError)
        raise BoxError(
            f"the alias {alias} of {model} was not moved to version {version}",
            why=f"the tracking server: {error}",
            fix=f"{'box wait tracking && ' * down}box models show {model}   (says where the alias is; then again)",
            code=ExitCode.NO_BOX if down else ExitCode.FAILED,
        ) from error
    facts = {"alias": alias, "version": version, "former": former, "back": back, **(data or {})}
    tell(state, model, kind, by, facts)
    return former


def noted(state: StateStore, model: str, alias: str) -> int | None:
    """The version that has an alias now; where somebody moved it without boxplat, the record learns of that first."""
    now = holder(state, model, alias)
    moves = _moves(state, model, alias)
    known = moves[-1]["version"] if moves else None
    if now != known:
        facts = {
            "alias": alias,
            "version": now,
            "former": known,
            "back": False,
            "reason": "found, not moved by boxplat",
        }
        tell(state, model, MOVED, "unknown", facts)
    return now


def tell(state: StateStore, model: str, kind: str, by: str, facts: Mapping[str, Any]) -> None:
    """An event and an entry in the record, in one transaction."""
    with state.database.write() as tx:
        tx.event(f"model/{model}", kind, {**facts, "by": by})
        state.record.append(tx, f"model/{model}", kind, by, facts)


def before(state: StateStore, model: str, alias: str) -> int | None:
    """The version that had an alias before the one that has it now; None where none is known.

    Promotions go forward, and ways back undo them: after 1, 2, 3 and back to 2 this is 1.
    """
    way: list[int | None] = []
    for one in _moves(state, model, alias):
        if not way:
            way.append(one["former"])
        if one["back"] and one["version"] in way:
            while way[-1] != one["version"]:
                way.pop()
        elif way[-1] != one["version"]:
            way.append(one["version"])
    return way[-2] if len(way) > 1 else None


def _moves(state: StateStore, model: str, alias: str) -> Sequence[Mapping[str, Any]]:
    entries = state.record.entries(f"model/{model}", (PROMOTED, MOVED, ROLLBACK))
    return [one.data for one in entries if one.data.get("alias") == alias]
