"""What data a run read and wrote, by content, and whether that is still what lies there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from boxplat.core.datasets import digest
from boxplat.core.digests import stamp
from boxplat.core.errors import BoxError
from boxplat.core.model import Dataset, Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.offline.files import listing
from boxplat.releases.why.tree import Node
from boxplat.runs.datasets import NOTED

_TAG = "data_digest."
_SHOWN = 16
_SAME = "the same"
_MISSING = (
    "it read and wrote nothing through boxplat, and its flow notes no digests of its data (artifact data_digests)"
)


def of_run(state: StateStore, paths: Paths, run: Run | None, tags: Mapping[str, str]) -> Node:
    """The node of a run's data: what the flow notes itself as facts, what boxplat saw as nodes below."""
    found = state.datasets.of_run(run.id) if run else []
    noted = {one.name: one.digest for one in found if one.way == NOTED}
    seen = [one for one in found if one.way != NOTED]
    if not found:
        # A run of another box, or from before data was kept, has what its tracking run says.
        noted = {key.removeprefix(_TAG): value for key, value in tags.items() if key.startswith(_TAG)}
    ways = dict.fromkeys(one.way for one in seen)
    below = tuple(_node(state, paths.root, way, [one for one in seen if one.way == way]) for way in ways)
    return Node("data", "", facts=dict(sorted(noted.items())), notes=() if noted or below else (_MISSING,), below=below)


def _node(state: StateStore, root: Path, way: str, found: list[Dataset]) -> Node:
    """All that was read, or written; of each whether it is still the same where it is not."""
    notes = [f"{one.name}: {one.note}" for one in found if one.note]
    now = {one.name: _now(state, root, one) for one in found if one.digest}
    notes += [f"{name} {what}" for name, what in now.items() if what != _SAME]
    digests = {one.name: one.digest[:_SHOWN] or "unknown" for one in found}
    facts = {"bytes": sum(one.bytes for one in found), "digests": digests}
    return Node("datasets", str(len(found)), way, facts, tuple(notes))


def _now(state: StateStore, root: Path, one: Dataset) -> str:
    place = str(root / one.path)
    try:
        stamps = [stamp(file) for file in listing(place).files]
        return _SAME if digest(state.datasets, place, stamps) == one.digest else "has changed since"
    except (BoxError, OSError):
        return "is gone"
