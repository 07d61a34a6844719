"""Two hundred claims from eight real processes at once, some killed with kill -9 wherever they are."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from boxplat.core.claims import Lease
from boxplat.core.state import StateStore
from boxplat.core.state import leases as tables
from boxplat.core.state.leases import Leases
from boxplat.runs.ledger import Ledger
from tests.runs.claimants import CAPACITY, Fake
from tests.runs.test_plan import fits

PROCESSES, CLAIMS = 8, 200


def rows(state: StateStore) -> list[Lease]:
    """Every lease that is written down, whoever lives."""
    with state.database.read() as db:
        return tables._leases(db)


@pytest.mark.parametrize("seed", [1, 2])
def test_never_too_much_no_lease_survives_and_everything_runs(state: StateStore, seed: int) -> None:
    script = Path(__file__).with_name("claimants.py")
    arguments = [str(state.database.path), str(PROCESSES), str(CLAIMS), str(1000 * seed)]
    program = subprocess.Popen([sys.executable, str(script), *arguments], stdout=subprocess.PIPE, text=True)
    looks, most = 0, 0
    while program.poll() is None:
        found = rows(state)
        assert fits(CAPACITY, found), "more is leased than there is"
        looks, most = looks + 1, max(most, len(found))
    assert program.stdout is not None
    report = json.loads(program.stdout.read())
    last = {line.split()[0]: line.split()[2] for line in report["lines"]}
    ends = Counter(last.values())
    assert report["failed"] == 0 and len(last) == CLAIMS and looks > 100 and most > 1
    assert ends["asks"] == 0, "whoever was not killed was granted his claim"
    # How many are killed depends on who follows whom: some 25.
    assert ends["granted"] >= CLAIMS * 0.7 and CLAIMS - ends["granted"] >= 5, ends
    Ledger(state.database, Fake()).reap()
    assert rows(state) == [] and Leases(state.database).living() == ([], [])
