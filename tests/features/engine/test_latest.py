"""The newest row of each key, against a loop over all rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.features.engine.latest import NO_CREATED, winners
from boxplat.features.rows import heap

FAR = 2**62
KEYS = {
    pa.int64(): st.integers(-3, 3) | st.sampled_from([-FAR, FAR, 2**53 + 1]),
    pa.int32(): st.integers(-3, 3),
    pa.string(): st.sampled_from(["", "1", "11", "é", "JFK"]),
    pa.binary(): st.sampled_from([b"", b"\0", b"a"]),
    pa.bool_(): st.booleans(),
    pa.timestamp("us", tz="UTC"): st.integers(-2, 2),
}


@st.composite
def heads(draw: st.DrawFn) -> tuple[list[pa.Array], list[int], list[int] | None]:
    count = draw(st.integers(0, 30))
    types = draw(st.lists(st.sampled_from(list(KEYS)), max_size=3))
    keys = [pa.array(draw(st.lists(KEYS[kind], min_size=count, max_size=count)), kind) for kind in types]
    event = draw(st.lists(st.integers(-3, 3), min_size=count, max_size=count))
    created = draw(st.none() | st.lists(st.sampled_from([NO_CREATED, 0, 1]), min_size=count, max_size=count))
    return keys, event, created


def looped(keys: list[pa.Array], event: list[int], created: list[int] | None) -> set[int]:
    """Row after row: one that is not older takes the key's place."""
    best: dict[tuple[object, ...], int] = {}
    columns = [column.to_pylist() for column in keys]

    def age(row: int) -> tuple[int, int]:
        return event[row], created[row] if created is not None else 0

    for row in range(len(event)):
        key = tuple(column[row] for column in columns)
        if key not in best or age(row) >= age(best[key]):
            best[key] = row
    return set(best.values())


@given(heads())
@settings(max_examples=400, deadline=None)
def test_newest_of_every_key(case: tuple[list[pa.Array], list[int], list[int] | None]) -> None:
    keys, event, created = case
    found = winners(keys, np.array(event, np.int64), None if created is None else np.array(created, np.int64))
    assert len(found) == len(set(found.tolist()))
    assert set(found.tolist()) == looped(keys, event, created)


@given(st.lists(st.integers(-50, 50), min_size=1))
@settings(deadline=None)
def test_winners_are_in_the_stores_order(keys: list[int]) -> None:
    """Else the store gathers every record from anywhere, which takes longer than all the rest."""
    found = winners([pa.array(keys, pa.int64())], np.zeros(len(keys), np.int64), None)
    sort = heap.mix(np.array(keys))[found]
    assert bool((sort[1:] > sort[:-1]).all())


def test_keys_at_both_ends_of_their_type() -> None:
    keys = [pa.array([2**63 - 1, -(2**63), 2**63 - 1, 0], pa.int64())]
    assert set(winners(keys, np.array([1, 1, 0, 1]), None).tolist()) == {0, 1, 3}


def test_a_key_with_a_long_history() -> None:
    """One key with every row, as of a view without entities, takes no loop over its rows."""
    event = np.arange(300_000) % 1000
    assert winners([], event, None).tolist() == [299_999]


def test_parts_of_a_key_do_not_run_together() -> None:
    keys = [pa.array(["1", "11"]), pa.array(["11", "1"])]
    assert len(winners(keys, np.array([0, 0]), None)) == 2
