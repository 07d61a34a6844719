"""Who is let in: the keys of the state, and the box's own one."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.gateway.applied import folder
from boxplat.releases.gateway.model import Key

OPERATE = "operate"
# The box's own key, for its commands; nobody else's.
OWN = "box"
_BYTES = 32


def new_token() -> str:
    """256 random bits."""
    return f"box_{secrets.token_urlsafe(_BYTES)}"


def digest(token: str) -> str:
    """SHA-256 in hexadecimal: no dictionary has 256 random bits, so it needs neither salt nor stretching."""
    return hashlib.sha256(token.encode()).hexdigest()


def keys(paths: Paths, state: StateStore) -> tuple[Key, ...]:
    """The keys that the gateway takes; none: everybody on this machine may ask."""
    known, digests = state.keys.all(), state.keys.digests()
    if not known:
        return ()
    own = Key(OWN, digest(own_token(paths)), operate=True)
    return (*(Key(key.name, digests[key.name], OPERATE in key.scopes) for key in known), own)


def own_token(paths: Paths) -> str:
    """The token of the box's own key, which only its user can read; made at the first need."""
    path = folder(paths) / "own.key"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        _create(path, new_token())
    return path.read_text(encoding="ascii")


def _create(path: Path, token: str) -> None:
    """A private file with a text, whole or not there, unless another process makes it at this moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(token)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
