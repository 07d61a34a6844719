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
    below = tuple(_node(state, paths.root, one) for one in seen)
    return Node("data", "", facts=dict(sorted(noted.items())), notes=() if noted or below else (_MISSING,), below=below)


def _node(state: StateStore, root: Path, one: Dataset) -> Node:
    facts = {
        "digest": one.digest[:_SHOWN],
        "path": one.path if one.path != one.name else "",
        "files": one.files if one.files > 1 else None,
        "bytes": one.bytes,
        "step": one.step,
        "files_now": _now(state, root, one) if one.digest else None,
    }
    known = {key: value for key, value in facts.items() if value not in (None, "")}
    return Node("dataset", one.name, one.way, known, (one.note,) if one.note else ())


def _now(state: StateStore, root: Path, one: Dataset) -> str:
    place = str(root / one.path)
    try:
        stamps = [stamp(file) for file in listing(place).files]
        return "the same" if digest(state.datasets, place, stamps) == one.digest else "changed since"
    except (BoxError, OSError):
        return "gone"
