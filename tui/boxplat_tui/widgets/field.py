"""A line to type in, and what is to be done after typing: keys may come faster than they are taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from textual import events
from textual.screen import Screen
from textual.widgets import Input


class Field(Input):
    """An `Input` that takes its keys in the order in which they were typed, however fast they come.

    A stock one inserts a printed character at once, but hands an editing key up through the widgets around it to the
    app; keys that came meanwhile overtake it, and a Backspace then takes away what was typed after it.
    """

    async def _on_key(self, event: events.Key) -> None:
        bound = () if event.is_printable else self._bindings.key_to_bindings.get(event.key, ())
        if not bound:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        await self.run_action(bound[0].action)


def after_keys(screen: Screen[Any], call: Callable[[], object]) -> None:
    """Call it once the keys that came before are taken: a key with priority overtakes those on their way to a field."""
    (screen.focused or screen).call_later(call)
