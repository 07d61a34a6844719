"""A pytest plug-in: Feast's unit tests that are written for its sqlite store run on boxplat's online store instead.

No test of theirs is changed. For `BOX_SUITE_UNIT=1 scripts/feast_suite …`.
"""

from __future__ import annotations

from typing import Any

import feast.infra.online_stores.sqlite as sqlite

from boxplat.features.online.plugin import BoxOnlineStoreConfig


def config(path: Any = "data/online.db", **_: Any) -> BoxOnlineStoreConfig:
    """The settings that a test asks for, of the other store: a folder beside the file."""
    return BoxOnlineStoreConfig(path=f"{path}.rows")


sqlite.SqliteOnlineStoreConfig = config  # type: ignore[assignment,misc]
