"""boxplat: a local-first machine-learning platform.

`Box` is the public interface: a project folder, its configuration and its state. Flows may call `report` and `study`.

>>> from boxplat import Box
>>> box = Box(".")              # doctest: +SKIP
>>> box.up(detach=True)         # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Box", "BoxError", "__version__", "report", "study"]

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.core.errors import BoxError
    from boxplat.reporting import report, study


def __getattr__(name: str) -> Any:
    if name == "Box":
        from boxplat.box import Box

        return Box
    if name == "BoxError":
        from boxplat.core.errors import BoxError

        return BoxError
    if name in ("report", "study"):
        from boxplat import reporting

        return getattr(reporting, name)
    raise AttributeError(f"module 'boxplat' has no attribute {name!r}")
