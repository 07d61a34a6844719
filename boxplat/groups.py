"""The verbs of `Box` that come in groups: `box outcomes …`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxplat.box import Box
    from boxplat.releases.outcomes import verb
    from boxplat.releases.outcomes.store import Added


class Outcomes:
    """`box outcomes …`"""

    def __init__(self, box: Box) -> None:
        self._box = box

    def add(self, endpoint: str, source: str) -> Added:
        """Add labels of predictions that were made before; the same file twice changes nothing.

        Args:
            source: a Parquet, CSV or JSON-lines file, or `-` for standard input.
        """
        from boxplat.releases.outcomes import verb

        return verb.add(self._box.paths, self._box.settings, endpoint, source)

    def show(self, endpoint: str) -> verb.Outcomes:
        """How many outcomes there are, and for how many predictions of each release."""
        from boxplat.releases.outcomes import verb

        return verb.show(self._box.paths, self._box.settings, endpoint)
