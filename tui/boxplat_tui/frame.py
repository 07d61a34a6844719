"""One frame of the dashboard without a terminal: as text, or as an SVG picture."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot

from boxplat.core.errors import BoxError, ExitCode
from boxplat_tui.app import BoxApp

PATIENCE = 15.0


def text_of(app: App[str]) -> str:
    """What is on the screen, line by line, without colours and trailing blanks."""
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips).rstrip()


def frame(
    app: BoxApp,
    size: tuple[int, int],
    keys: tuple[str, ...] = (),
    render: Callable[[App[str]], str] = text_of,
) -> str:
    """Read the box once, press `keys`, and render what is seen then at `size` (columns, rows).

    Raises:
        BoxError: the box could not be read, or gave no answer in 15 s (exit code 6).
    """

    async def take(pilot: Pilot[Any]) -> None:
        await _first(app)
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        app.exit(render(app) if app.latest else "")

    seen = app.run(headless=True, size=size, auto_pilot=take)
    if app.latest is None:
        raise _reason(app.failure)
    return seen or ""


async def _first(app: BoxApp) -> None:
    """Wait for the first answer of the box, good or bad."""
    for _ in range(round(PATIENCE / 0.02)):
        if app.latest or app.failure:
            return
        await asyncio.sleep(0.02)


def _reason(failure: Exception | None) -> BoxError:
    if isinstance(failure, BoxError):
        return failure
    if failure is None:
        return BoxError(
            "the box gave no answer", why=f"waited {PATIENCE:.0f} s", fix="box doctor", code=ExitCode.TIMED_OUT
        )
    return BoxError("the box could not be read", why=str(failure) or type(failure).__name__, fix="box doctor")
