"""Reads of several keys go round Arrow; the keys are the same bytes as with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features.rows.asked import asked_keys
from boxplat.features.rows.keys import Keys, encode_keys
from boxplat.features.rows.layout import Layout

LAYOUT = Layout((("whole", "INT64"), ("text", "STRING"), ("short", "INT32")), (("value", "INT64"),))
ROW = st.tuples(
    st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | st.text(max_size=12), st.integers(-(2**31), 2**31 - 1)
)


def comparable(keys: Keys, rows: int) -> list[Any]:
    assert keys.starts is not None and keys.lengths is not None and keys.heap is not None
    valid = np.ones(rows, bool) if keys.valid is None else keys.valid
    spans = zip(keys.sort.tolist(), keys.starts.tolist(), keys.lengths.tolist(), valid.tolist(), strict=True)
    return [(sort, bytes(keys.heap[at : at + size])) if ok else None for sort, at, size, ok in spans]


@settings(deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20))
def test_as_with_arrow(rows: list[tuple[Any, Any, Any]]) -> None:
    columns: dict[str, Any] = dict(zip(("whole", "text", "short"), map(list, zip(*rows, strict=True)), strict=True))
    columns["short"] = np.array(columns["short"])
    found, expected = (read(LAYOUT, columns, "view") for read in (asked_keys, encode_keys))
    assert comparable(found, len(rows)) == comparable(expected, len(rows))
