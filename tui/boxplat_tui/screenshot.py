"""Pictures of every screen on a real box, as SVG: `python -m boxplat_tui.screenshot FOLDER [--project DIR]`."""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from boxplat_tui.app import BoxApp

SIZES = ((80, 24), (140, 40))
# The keys that lead to each screen from the one before.
SCREENS = {
    "runs": ("2",),
    "run": ("slash", *"TrainF", "enter", "enter"),
    "metrics": ("m",),
    "queue": ("3",),
    "features": ("4",),
    "models": ("5",),
    "endpoints": ("6",),
    "lineage": ("7",),
    "events": ("8",),
    "help": ("question_mark",),
    # Last: by now its figures over time have begun.
    "overview": ("escape", "1"),
}
PATIENCE = 60.0
SNAPSHOTS = 2
# Where fonts of the same name are not installed the reader's own monospaced one does: nothing is fetched.
_FONT_FACE = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def pictures(app: BoxApp, size: tuple[int, int]) -> dict[str, str]:
    """Every screen at `size` (columns, rows), once all that it reads is there.

    Raises:
        TimeoutError: something was not read within a minute.
    """
    found: dict[str, str] = {}

    async def take(pilot: Pilot[Any]) -> None:
        async with asyncio.timeout(PATIENCE):
            await _snapshots(app, 1)
        for name, keys in SCREENS.items():
            await pilot.press(*keys)
            async with asyncio.timeout(PATIENCE):
                await _settled(app)
            await pilot.pause()
            found[name] = _FONT_FACE.sub("", app.export_screenshot(title=f"box tui · {name}"))
        app.exit()

    app.run(headless=True, size=size, auto_pilot=take)
    return found


async def _settled(app: BoxApp) -> None:
    """Until what the screen in front reads was read since it came there."""
    await _snapshots(app, SNAPSHOTS)
    readings = app.front.readings() if app.front else ()
    while any(reading.running or not (reading.known or reading.error) for reading in readings):
        await asyncio.sleep(0.05)
    await _snapshots(app, SNAPSHOTS)


async def _snapshots(app: BoxApp, count: int) -> None:
    for _ in range(count):
        before = app.latest
        app.poller.wake()
        while app.latest is before:
            await asyncio.sleep(0.02)


def main() -> None:
    """Take a picture of each screen at each size."""
    from boxplat.box import Box

    parser = argparse.ArgumentParser(prog="python -m boxplat_tui.screenshot", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--project", default=".")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for columns, rows in SIZES:
        for name, picture in pictures(BoxApp(Box(arguments.project)), (columns, rows)).items():
            path = arguments.folder / f"{name}-{columns}x{rows}.svg"
            path.write_text(picture + "\n", encoding="utf-8")
            print(path)


if __name__ == "__main__":
    main()
