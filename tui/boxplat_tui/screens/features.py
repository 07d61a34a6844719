"""Feature views, their freshness and their data."""

from __future__ import annotations

from textual.app import ComposeResult

from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line


class FeaturesScreen(BoxScreen):
    """Feature views, their freshness and their data."""

    MODE = "features"
    HELP = "Feature views, their freshness and their data."

    def body(self) -> ComposeResult:
        yield Line("about")
