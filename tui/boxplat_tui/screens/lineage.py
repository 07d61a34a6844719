"""What a prediction, release, model or run came from, and what came of it."""

from __future__ import annotations

from textual.app import ComposeResult

from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line


class LineageScreen(BoxScreen):
    """What a prediction, release, model or run came from, and what came of it."""

    MODE = "lineage"
    HELP = "What a prediction, release, model or run came from, and what came of it."

    def body(self) -> ComposeResult:
        yield Line("about")
