"""Which of the things that may go do go. Pure: no I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from boxplat.gc.model import ARTIFACTS, Blob, Item, Limits, Plan, Value

# What is written while things are freed (marks, journals of the databases) takes room itself.
_AIM, _OWN = 0.99, 2**18


class Shared:
    """Blobs by how many still name them.

    Args:
        sizes: bytes of each blob that may be deleted at all.
        named: for everything that is there, kept or not, the blobs that it names.
    """

    def __init__(self, sizes: Mapping[Blob, int], named: Iterable[Iterable[Blob]]) -> None:
        self._sizes = sizes
        self._count = Counter(blob for blobs in named for blob in blobs)

    def orphaned(self) -> int:
        """Bytes of blobs that nothing names."""
        return sum(size for blob, size in self._sizes.items() if not self._count[blob])

    def let_go(self, blobs: Iterable[Blob]) -> int:
        """One that named these is gone; returns the bytes of blobs that nothing names any more."""
        freed = 0
        for blob in blobs:
            self._count[blob] -= 1
            if self._count[blob] == 0:
                freed += self._sizes.get(blob, 0)
        return freed


def choose(items: Sequence[Item], shared: Shared, size: int, limits: Limits, now: float) -> Plan:
    """Everything of no value, what is older than the limit, and as much as it takes to come below the size.

    Args:
        size: bytes of the box.
        now: seconds since the epoch.
    """
    parts: Counter[str] = Counter({ARTIFACTS: shared.orphaned()})
    counts: Counter[str] = Counter()
    chosen: dict[str, Item] = {}
    waiting = sorted(items, key=lambda item: (item.value, item.at, item.subject))
    going = True
    while going:
        going = False
        for item in waiting:
            if item.after <= chosen.keys() and _goes(item, size - parts.total(), limits, now):
                chosen[item.subject] = item
                parts.update(item.parts)
                parts[ARTIFACTS] += shared.let_go(item.blobs)
                counts.update(_counted(item))
                going = True
        waiting = [item for item in waiting if item.subject not in chosen]
    return Plan(tuple(chosen.values()), {kind: size for kind, size in parts.items() if size}, dict(counts), size)


def _goes(item: Item, size: int, limits: Limits, now: float) -> bool:
    too_old = limits.older_than is not None and item.at < now - limits.older_than
    too_large = limits.max_size is not None and size > limits.max_size * _AIM - _OWN
    return item.value is Value.NONE or too_old or too_large


def _counted(item: Item) -> Counter[str]:
    return Counter(dict.fromkeys(item.parts, 1) | ({ARTIFACTS: 1} if item.blobs else {}))
