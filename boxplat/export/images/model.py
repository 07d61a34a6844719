"""What an image is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

APP = "app"
BENTO = "bento"
PACKAGE = "boxplat"


@dataclass(frozen=True, slots=True)
class Image:
    """The image of a component: everything that decides its content.

    `lock` has versions by name, torch among them where it is needed. `sources` maps a place in the build's folder
    (`app/…` goes to `/app`, `boxplat` among the packages) to a folder of this machine. `commands` are those that a
    Bento wants run in its image, `python` is the version as "3.11". `left_out` names settings of a Bento that the image
    does not follow.
    """

    component: str
    project: str
    lock: Mapping[str, str]
    sources: Mapping[str, Path] = field(default_factory=dict)
    commands: tuple[str, ...] = ()
    python: str = "3.11"
    left_out: tuple[str, ...] = ()
