"""What goes: against an oracle that deletes one after the other and counts what is left."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError
from boxplat.core.sizes import age_of, size_of
from boxplat.gc.choice import Shared, choose
from boxplat.gc.model import ARTIFACTS, Item, Limits, Plan, Value

BLOBS = [("F", f"blob{number}") for number in range(8)]
SIZES = {blob: 1_000_000 * (number + 1) for number, blob in enumerate(BLOBS)}
# One that may not be deleted now, as those of a flow that is running.
del SIZES[BLOBS[7]]


@st.composite
def items(draw: st.DrawFn) -> list[Item]:
    found: list[Item] = []
    for number in range(draw(st.integers(0, 10))):
        after = draw(st.sets(st.sampled_from([one.subject for one in found]), max_size=2)) if found else set()
        found.append(
            Item(
                subject=f"run/{number}",
                kind="run",
                value=draw(st.sampled_from(list(Value))),
                at=draw(st.floats(0, 100)),
                parts={ARTIFACTS: draw(st.integers(0, 5_000_000)), "tracking": 4096},
                blobs=frozenset(draw(st.sets(st.sampled_from(BLOBS)))),
                after=frozenset(after),
            )
        )
    return found


def freed(chosen: list[Item], everything: list[Item], kept: set[tuple[str, str]]) -> int:
    """Bytes that are gone when only what is kept is left, and no blob that nothing names."""
    there = {blob for item in everything if item not in chosen for blob in item.blobs} | kept
    own = sum(sum(item.parts.values()) for item in chosen)
    return own + sum(size for blob, size in SIZES.items() if blob not in there)


@given(items(), st.sets(st.sampled_from(BLOBS)), st.integers(0, 80_000_000), st.none() | st.floats(0, 100))
@settings(deadline=None)
def test_it_says_what_is_freed_and_frees_no_more_than_it_must(
    found: list[Item], kept: set[tuple[str, str]], allowed: int, older: float | None
) -> None:
    size = 80_000_000

    def plan(allowed: int | None) -> Plan:
        shared = Shared(SIZES, [*(item.blobs for item in found), kept])
        return choose(found, shared, size, Limits(allowed, older), 100.0)

    made = plan(allowed)
    chosen = list(made.chosen)
    assert made.bytes == freed(chosen, found, kept)
    names = {item.subject for item in chosen}
    assert all(item.after <= names for item in chosen)
    if size - made.bytes > allowed:
        left = [item for item in found if item not in chosen]
        assert all(not item.after <= names for item in left)
    # Without the size only what is too old or of no value goes; that goes with the size as well.
    forced = plan(None).chosen
    assert {item.subject for item in forced} <= names
    assert all(item.value is Value.NONE or (older is not None and item.at < 100.0 - older) for item in forced)


def test_the_oldest_of_the_least_valuable_go_first() -> None:
    made = [("run/1", Value.RUN, 1.0), ("run/2", Value.FAILED, 9.0), ("run/3", Value.FAILED, 5.0)]
    found = [Item(name, "run", value, at, {ARTIFACTS: 10_000_000}) for name, value, at in made]
    for allowed, names in ((95_000_000, ["run/3"]), (85_000_000, ["run/3", "run/2"]), (0, ["run/3", "run/2", "run/1"])):
        plan = choose(found, Shared({}, []), 100_000_000, Limits(allowed), 100.0)
        assert [item.subject for item in plan.chosen] == names


def test_sizes_and_ages_are_read_and_nonsense_is_refused() -> None:
    assert (size_of("20G"), size_of("1.5 MiB"), size_of("77")) == (20 * 2**30, 3 * 2**19, 77)
    assert (age_of("30d"), age_of("2w"), age_of("12h")) == (30 * 86400, 14 * 86400, 43200)
    for call, text in ((size_of, "much"), (size_of, "-1G"), (age_of, "30"), (age_of, "1y")):
        with pytest.raises(BoxError):
            call(text)
