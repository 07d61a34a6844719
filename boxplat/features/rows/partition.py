"""Which of P partitions a key belongs to: by the upper bits of its sort key."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from boxplat.features.rows.codecs import Column
from boxplat.features.rows.heap import Hashes
from boxplat.features.rows.keys import encode_keys
from boxplat.features.rows.layout import Layout
from boxplat.features.schema import View

_HALF = np.uint64(32)
Numbers = np.ndarray[tuple[int], np.dtype[np.uint32]]


def partition_of(view: View, keys: Mapping[str, Column], partitions: int) -> Numbers:
    """uint32 [N], from 0 to `partitions` - 1, for N keys without nulls (a column for each key of the view): the number
    under which `Load.write` wants their rows.

    Raises:
        BoxError: a key is missing or of another type.
    """
    return divide(encode_keys(Layout.of(view), keys, view.name).sort, partitions)


def divide(sort: Hashes, partitions: int) -> Numbers:
    """The partitions of N sort keys: each is a range of them."""
    if partitions == 1:
        return np.zeros(len(sort), np.uint32)
    return (((sort >> _HALF) * np.uint64(partitions)) >> _HALF).astype(np.uint32)
