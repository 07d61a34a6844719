"""Numbers as people read them: always with a unit, a dash where there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

NONE = "\N{EN DASH}"
_STEPS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"))


def size(count: int | None) -> str:
    """Bytes in binary units, at most 8 characters: `262 MiB`, `1.4 GiB`."""
    if count is None:
        return NONE
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1000 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 10 and unit not in ("B", "KiB") else f"{value:.0f} {unit}"
        value /= 1024
    raise AssertionError("unreachable: the last unit always returns")


def duration(seconds: float | None) -> str:
    """A span of time in its two largest units, at most 7 characters: `0.4s`, `41s`, `1m 40s`, `3d 4h`."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{max(seconds, 0.0):.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    for (length, unit), (smaller, small) in zip(_STEPS, (*_STEPS[1:], (1.0, "s")), strict=True):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit} {seconds % length // smaller:.0f}{small}"
    raise AssertionError("unreachable: a minute is the smallest step")


def span(seconds: float | None) -> str:
    """A span of time in its largest unit only, so that it changes rarely: `12s`, `4m`, `2h`."""
    if seconds is None:
        return NONE
    for length, unit in _STEPS:
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(seconds, 0.0):.0f}s"


def age(at: float | None, now: float) -> str:
    """How long ago: `just now`, `12s ago`, `4m ago`."""
    if at is None:
        return NONE
    return "just now" if now - at < 3 else f"{span(now - at)} ago"


def clock(at: float) -> str:
    """The local time of day, `14:02:11`."""
    return datetime.fromtimestamp(at).strftime("%H:%M:%S")


def moment(at: float | None) -> str:
    """The local date and time, `2026-11-22 14:02:11`."""
    return NONE if at is None else datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def share(part: float, whole: float) -> float:
    """`part` of `whole` within 0 and 1; 0 where the whole is nothing."""
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0


def percent(part: float | None) -> str:
    """A share in at most 6 characters, `0 %`, `0.3 %`, `12 %`; a little is never none: `<0.1 %`."""
    if part is None:
        return NONE
    if 0 < part < 0.0005:
        return "<0.1 %"
    return f"{100 * part:.1f} %" if 0 < part < 0.0995 else f"{100 * part:.0f} %"


def number(value: float | None, unit: str) -> str:
    """A whole number with its unit: `412 W`."""
    return NONE if value is None else f"{value:.0f} {unit}"


def figure(value: float | None) -> str:
    """A measured number in at most 9 characters: `0.7731`, `1,234`, `1.2e-05`."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value)
    whole = value == round(value) or abs(value) >= 1e4
    return f"{value:,.0f}" if whole and abs(value) < 1e7 else f"{value:.4g}"


def pairs(values: Mapping[str, object]) -> str:
    """`key=value key=value`, in the order given."""
    return " ".join(f"{key}={value}" for key, value in values.items())


def plural(count: int, noun: str) -> str:
    """`1 run`, `3 runs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
