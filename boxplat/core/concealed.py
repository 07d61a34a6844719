"""Settings as they may be shown and recorded: which variables are set, and whether one changed, not their values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

_SHOWN = 12


def concealed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a release, with the beginning of a SHA-256 for each value of `env`, where passwords are."""
    env = settings.get("env")
    if not isinstance(env, Mapping):
        return dict(settings)
    return {**settings, "env": {str(name): _digest(value) for name, value in env.items()}}


def _digest(value: Any) -> str:
    return "sha256:" + hashlib.sha256(str(value).encode(errors="surrogatepass")).hexdigest()[:_SHOWN]
