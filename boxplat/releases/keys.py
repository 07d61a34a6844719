"""Keys of the gateway: made, shown once, revoked; only their hashes are kept."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import AccessKey
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY
from boxplat.core.state import StateStore
from boxplat.releases import gateway
from boxplat.releases.gateway.access import OPERATE, OWN, digest, new_token, own_token

SCOPES = ("invoke", OPERATE)
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,31}")
_TAKEN_SECONDS = 40.0
_TURN = 0.02


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key and, this one time, its token. Not `taken`: the running gateway still answers as before it was made."""

    key: AccessKey
    token: str
    taken: bool


def make(state: StateStore, name: str, scopes: Sequence[str], by: str) -> NewKey:
    """Make a key; from the first one on the gateway asks every request for one.

    Args:
        name: what it is called in the record and the logs, and to the releases (`x-client-id`).
        scopes: `invoke` to ask endpoints; `operate` also for their operations and the statistics.

    Raises:
        BoxError: an unusable name or scope (exit code 2), or the name is in use (1).
    """
    if not _NAME.fullmatch(name) or name == OWN:
        why = "it belongs to the box itself" if name == OWN else "1 to 32 letters, digits and '-', a letter first"
        raise BoxError(f"no key can be called {name!r}", why=why, fix="box keys make NAME", code=ExitCode.USAGE)
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BoxError(
            f"unknown scope: {', '.join(unknown) or 'none given'}",
            why=f"scopes are {' and '.join(SCOPES)}",
            fix=f"box keys make {name} --scope invoke",
            code=ExitCode.USAGE,
        )
    token = new_token()
    key = state.keys.add(name, sorted(set(scopes)), digest(token), by)
    return NewKey(key, token, _await(state, lambda: name in gateway.applied(state).keys))


def revoke(state: StateStore, name: str, by: str) -> None:
    """End a key; the gateway refuses it when this returns.

    Raises:
        BoxError: no such key (exit code 9), or the running gateway has not taken it in time (6).
    """
    state.keys.revoke(name, by)
    if not _await(state, lambda: name not in gateway.applied(state).keys):
        raise BoxError(
            f"the gateway still takes the key {name}",
            why=gateway.applied(state).error or f"it has not taken the change within {_TAKEN_SECONDS:g} s",
            fix="box restart gateway   (the key is revoked in the state)",
            log=next((row.log for row in state.services.all() if row.name == GATEWAY), None),
            code=ExitCode.TIMED_OUT,
        )


def headers(state: StateStore, paths: Paths) -> dict[str, str]:
    """What a command of this box says to the gateway: nothing while there are no keys."""
    return {"Authorization": f"Bearer {own_token(paths)}"} if state.keys.all() else {}


def _await(state: StateStore, taken: Callable[[], bool]) -> bool:
    """Wait for a running gateway; True also where none runs."""
    deadline = time.monotonic() + _TAKEN_SECONDS
    while time.monotonic() < deadline:
        row = next((row for row in state.services.all() if row.name == GATEWAY), None)
        if row is None or row.pid is None or taken():
            return True
        time.sleep(_TURN)
    return False
