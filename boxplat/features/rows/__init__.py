"""The embedded online store: the newest row of every entity, packed, in memory-mapped files. NumPy and Arrow only.

`Store(folder)` is one project's store. See `docs/decisions/0005-embedded-online-store.md` for the form on disk.
"""

from boxplat.features.rows.load import Load
from boxplat.features.rows.partition import partition_of
from boxplat.features.rows.rows import NOT_FOUND, NULL_VALUE, OUTSIDE_MAX_AGE, PRESENT, Rows
from boxplat.features.rows.segment import Segment
from boxplat.features.rows.status import ViewStatus
from boxplat.features.rows.store import Store

__all__ = [
    "NOT_FOUND",
    "NULL_VALUE",
    "OUTSIDE_MAX_AGE",
    "PRESENT",
    "Load",
    "Rows",
    "Segment",
    "Store",
    "ViewStatus",
    "partition_of",
]
