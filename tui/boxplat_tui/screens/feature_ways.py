"""How features are brought online and asked for, as choices. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from boxplat_tui import commands
from boxplat_tui.commands import Command
from boxplat_tui.screens.choose import Choice

Values = Mapping[str, Any]
_WHOLE = ("INT32", "INT64")


def materializations(data: Values) -> list[Choice]:
    """Until now, or until a moment; in a replay of old data only the latter means anything."""
    ends = [view["materialized_until"] for view in data.get("views", ()) if view.get("materialized_until")]
    last = max(ends)[:19] + "Z" if ends else ""
    example = f"an ISO time, such as {last or '2026-01-31T22:00:00Z'}"
    until = Choice("until a moment", lambda typed: commands.features_materialize(_moment(typed)), example)
    if data.get("clock") == "materialization":
        return [until]
    return [Choice("until now; each view goes on where it was left", lambda _: commands.features_materialize()), until]


def _moment(typed: str) -> str:
    if not typed:
        raise ValueError("until when?")
    datetime.fromisoformat(typed)
    return typed


def questions(view: Values, example: Values) -> list[Choice]:
    """The view's features of one entity."""
    names = ", ".join(f"{key['name']}=…" for key in view["keys"])
    known = commands.parameter_text({name: str(value) for name, value in example.items()})
    asks = f"{known} (enter takes this)" if known else names or "nothing: press enter"
    return [Choice(f"the features of {view['view']}", _asked(view["view"], view["keys"], known), asks)]


def _asked(name: str, keys: Iterable[Values], known: str) -> Callable[[str], Command]:
    types = {key["name"]: key["type"] for key in keys}

    def make(typed: str) -> Command:
        given = commands.parameters(typed or known)
        missing = [key for key in types if key not in given]
        if missing:
            raise ValueError(f"{', '.join(missing)} must be given")
        return commands.features_get(name, {key: _value(text, types.get(key, "")) for key, text in given.items()})

    return make


def _value(text: str, kind: str) -> object:
    if kind in _WHOLE:
        return int(text)
    return text if kind in ("STRING", "") else json.loads(text)


def skews(endpoints: Iterable[str]) -> list[Choice]:
    """An endpoint whose served features are compared with recomputed ones."""
    return [Choice(name, lambda _, name=name: commands.features_skew(name)) for name in endpoints]  # type: ignore[misc]
