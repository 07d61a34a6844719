"""The models of the registry and their versions."""

from __future__ import annotations

from textual.app import ComposeResult

from boxplat_tui.screens.base import BoxScreen
from boxplat_tui.widgets.bars import Line


class ModelsScreen(BoxScreen):
    """The models of the registry and their versions."""

    MODE = "models"
    HELP = "The models of the registry and their versions."

    def body(self) -> ComposeResult:
        yield Line("about")
