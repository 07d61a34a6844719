"""The dashboard's page and its keys agree."""

from __future__ import annotations

import importlib
import pkgutil
import re

from textual.app import App
from textual.binding import Binding
from textual.screen import Screen

import boxplat_tui
from tests.docs.documents import ROOT

PAGE = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")


def bindings() -> list[Binding]:
    """Those of the app and its screens, modal ones apart: they name their own keys."""
    found: list[Binding] = []
    for module in pkgutil.walk_packages(boxplat_tui.__path__, "boxplat_tui."):
        for kind in vars(importlib.import_module(module.name)).values():
            ours = isinstance(kind, type) and kind.__module__.startswith("boxplat_tui.")
            if ours and "dialog" not in kind.__module__ and hasattr(kind, "BINDINGS"):
                found += [entry for entry in kind.__dict__.get("BINDINGS", []) if isinstance(entry, Binding)]
    return found


def keys_of(binding: Binding) -> set[str]:
    keys = {binding.key_display} if binding.key_display else set(binding.key.split(","))
    return {key.replace("colon", ":") for key in keys}


def test_every_key_told_exists_and_every_key_shown_is_told() -> None:
    rows = [line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `")]
    told = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    real = {key for binding in bindings() for key in keys_of(binding)}
    shown = {key for binding in bindings() if binding.show for key in keys_of(binding)}
    assert told - real - {"tab"} == set()
    assert shown - told == set()


def test_every_screen_is_told() -> None:
    app = importlib.import_module("boxplat_tui.app")
    assert issubclass(app.BoxApp, App)
    screens = [mode for mode in app.BoxApp.MODES if isinstance(app.screen_of(mode), Screen)]
    told = re.findall(r"^\| (\w+) \| ", PAGE, flags=re.MULTILINE)
    assert [name.lower() for name in told if name not in ("screen", "key")] == screens
