"""The themes of boxplat, and tones (ok, bad…) as styles of whatever theme is in use."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK = Theme(
    name="boxplat",
    primary="#7aa2f7",
    secondary="#9d8cff",
    accent="#6fc3df",
    success="#8fc97a",
    warning="#e5b567",
    error="#f2777a",
    foreground="#d5d9e2",
    background="#12141a",
    surface="#171a22",
    panel="#1d212b",
    dark=True,
    variables={
        "block-cursor-background": "#2c3a58",
        "block-cursor-foreground": "#f2f4f8",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#12141a",
        "block-hover-background": "#1d212b",
        "footer-background": "#171a22",
        "footer-key-foreground": "#7aa2f7",
        "footer-description-foreground": "#a9b0bf",
        "scrollbar": "#2a2f3c",
        "scrollbar-background": "#12141a",
        "scrollbar-corner-color": "#12141a",
    },
)
LIGHT = Theme(
    name="boxplat-light",
    primary="#2f5fd0",
    secondary="#6a4fd8",
    accent="#0f7490",
    success="#2f7d32",
    warning="#9a6200",
    error="#c0272d",
    foreground="#22252c",
    background="#fbfbf9",
    surface="#f2f2ee",
    panel="#e9e9e4",
    dark=False,
    variables={
        "block-cursor-background": "#d5e1fb",
        "block-cursor-foreground": "#14161a",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#fbfbf9",
        "block-hover-background": "#f2f2ee",
        "footer-background": "#f2f2ee",
        "footer-key-foreground": "#2f5fd0",
        "footer-description-foreground": "#4c515c",
        "scrollbar": "#d5d5cf",
        "scrollbar-background": "#fbfbf9",
        "scrollbar-corner-color": "#fbfbf9",
    },
)
# Every pair of colours has a contrast of at least 7 to 1 (WCAG 2.2, level AAA).
CONTRAST = Theme(
    name="boxplat-contrast",
    primary="#8ab8ff",
    secondary="#c9b6ff",
    accent="#5ce1ff",
    success="#5fff87",
    warning="#ffd75f",
    error="#ff9ea0",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1a1a1a",
    dark=True,
    variables={
        "block-cursor-background": "#ffffff",
        "block-cursor-foreground": "#000000",
        "block-cursor-text-style": "bold",
        "block-cursor-blurred-background": "#000000",
        "block-hover-background": "#1a1a1a",
        "footer-background": "#000000",
        "footer-key-foreground": "#8ab8ff",
        "footer-description-foreground": "#ffffff",
        "scrollbar": "#ffffff",
        "scrollbar-background": "#000000",
        "scrollbar-corner-color": "#000000",
    },
)
_ROLES = {"ok": "success", "busy": "primary", "warn": "warning", "bad": "error", "accent": "accent"}


def tones(variables: Mapping[str, str], plain: bool) -> dict[str, str]:
    """Rich styles by tone, from a theme's variables; `plain` ones do without colour and still point out trouble."""
    if plain:
        return {"": "", "muted": "dim", "strong": "bold", "bad": "bold", "warn": "bold"}
    colours = {tone: variables[role].removeprefix("ansi_") for tone, role in _ROLES.items()}
    return {"": "", "muted": "dim", "strong": "bold", **colours}
