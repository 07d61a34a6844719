"""Random requests, answered by boxplat's offline store and by nested loops: the answers must be the same.

A case is one view's history joined to one set of entity rows; a request has one to four of them, so that the requests
here hold some 2,500 cases. A failure prints the seed and the smallest request that still fails.
`BOXPLAT_ORACLE_SEED` starts the seeds elsewhere.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.features.oracle.cases import generate
from tests.features.oracle.model import Case
from tests.features.oracle.shrink import described, shrunk

if TYPE_CHECKING:
    from feast.infra.offline_stores.offline_store import RetrievalJob

    from tests.features.oracle.world import World

FIRST = int(os.environ.get("BOXPLAT_ORACLE_SEED", "0"))
BLOCK, BLOCKS = 40, 25
WHOLE, WHOLE_BLOCKS = 20, 5
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def wrong(case: Case, ask: Callable[[Case], RetrievalJob]) -> list[str]:
    """What is wrong with the store's answer; an exception is wrong too."""
    from tests.features.oracle.world import complaints

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(complaints(case, ask(case).to_arrow()))
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def check(seed: int, case: Case, ask: Callable[[Case], RetrievalJob]) -> None:
    bad = wrong(case, ask)
    if not bad:
        return
    small = shrunk(case, lambda smaller: bool(wrong(smaller, ask)))
    now = wrong(small, ask)
    pytest.fail(f"seed {seed}: {bad[0]}\nsmallest: {now[0] if now else 'does not fail twice'}\n{described(small)}")


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_random_request_is_answered_as_by_nested_loops(world: World, block: int) -> None:
    for seed in range(FIRST + block * BLOCK, FIRST + (block + 1) * BLOCK):
        check(seed, generate(seed), world.ask)


@pytest.mark.parametrize("block", range(WHOLE_BLOCKS))
def test_a_random_request_through_the_whole_feature_store(world: World, block: int) -> None:
    """With `apply` and the registry in between; views under aliases have tests of their own."""
    for seed in range(FIRST + block * WHOLE, FIRST + (block + 1) * WHOLE):
        check(seed, generate(1_000_000 + seed, aliases=False), world.ask_whole)


def test_many_rows_of_few_keys(world: World) -> None:
    """Long runs of one key and moment, over several row groups' worth of work."""
    for seed in range(FIRST, FIRST + 12):
        case = generate(2_000_000 + seed, most_rows=400)
        check(seed, case, world.ask)
