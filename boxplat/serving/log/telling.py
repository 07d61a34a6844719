"""How what happens to a log becomes an event of the box."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from boxplat.core.paths import Paths
from boxplat.serving.log.writer import Tell, say


def teller(environ: Mapping[str, str]) -> Tell:
    """Tells standard error, and the audit log of the box that this process belongs to, if it does.

    Args:
        environ: `BOXPLAT_PROJECT` and `BOXPLAT_ENDPOINT`, as the supervisor gives them.
    """
    project, endpoint = environ.get("BOXPLAT_PROJECT"), environ.get("BOXPLAT_ENDPOINT")
    if not project or not endpoint:
        return say
    paths = Paths(Path(project))
    waiting: list[tuple[str, dict[str, Any]]] = []

    def tell(kind: str, data: dict[str, Any]) -> None:
        say(kind, data)
        waiting.append((kind, data))
        try:
            from boxplat.core.state import StateStore

            state = StateStore.open(paths)
            try:
                while waiting:
                    state.events.append(endpoint, *waiting[0])
                    del waiting[0]
            finally:
                state.close()
        except Exception as error:
            # The same disk may be full for the state too: told with the next one.
            say("log.untold", {"kind": kind, "why": str(error)})

    return tell
