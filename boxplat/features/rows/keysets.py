"""Which segments have the very same keys, so that what was found in one needs no second search in the other."""

from __future__ import annotations

from weakref import ReferenceType, WeakValueDictionary, ref

import numpy as np

from boxplat.features.rows.heap import Hashes


class KeySet:
    """Stands for one ascending array of hashes; segments with equal ones share it."""

    def __init__(self, sort: Hashes) -> None:
        self.sort: ReferenceType[Hashes] = ref(sort)


_known: WeakValueDictionary[tuple[int, int], KeySet] = WeakValueDictionary()


def keyset_of(sort: Hashes, crc: int) -> KeySet:
    """The key set of a segment that is being opened; hashes with the same checksum are compared one by one.

    A segment that is gone shares nothing any more: segments do not keep each other's files mapped.
    """
    known = _known.get((len(sort), crc))
    before = None if known is None else known.sort()
    if known is not None and before is not None and np.array_equal(before, sort):
        known.sort = ref(sort)
        return known
    found = _known[len(sort), crc] = KeySet(sort)
    return found
