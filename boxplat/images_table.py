"""Images as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from boxplat import render

if TYPE_CHECKING:
    from boxplat.export.images.making import Made


def table(made: Sequence[Made]) -> str:
    """One line an image: how it is named, and what was built of the same inputs."""
    return render.table(("component", "image", "packages", "size", "built"), map(_row, made))


def _row(one: Made) -> tuple[object, ...]:
    built = one.recorded
    note = "; ".join(["no" if built is None else "pushed" if built.pinned else "yes", *_left_out(one)])
    size = f"{built.size / 1e6:.0f} MB" if built is not None and built.size else "-"
    return one.component, one.tag, one.packages, size, note


def _left_out(one: Made) -> list[str]:
    return [f"without the Bento's {name}: bentoml containerize follows it" for name in one.left_out]
