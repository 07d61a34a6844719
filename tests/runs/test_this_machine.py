"""The ledger on the machine that runs the tests, with its GPU where it has one."""

from __future__ import annotations

import pytest

from boxplat.core.claims import Claim, Lease, Waiting
from boxplat.core.errors import BoxError
from boxplat.core.state import StateStore
from boxplat.runs.capacity import Machine
from boxplat.runs.ledger import Ledger, environment


def test_its_memory_is_shared_out_once(state: StateStore) -> None:
    """Two thirds of what is free, twice; the first has not touched it yet."""
    ledger = Ledger(state.database)
    capacity = ledger.holdings().capacity
    claim = Claim(0.1, 2 * (capacity.memory - capacity.foreign) // 3)
    assert isinstance(ledger.ask("run/1/a/1", claim), Lease)
    answer = ledger.ask("run/2/a/1", claim)
    assert isinstance(answer, Waiting) and answer.why.startswith("needs ") and "run/1/a/1 has " in answer.why


def test_its_devices_are_shared_out_once_or_there_are_none(state: StateStore) -> None:
    ledger = Ledger(state.database)
    devices = Machine().measure((), True).capacity.devices
    if not devices:
        with pytest.raises(BoxError, match="there is none here"):
            ledger.ask("run/1/a/1", Claim(0.1, 0, 1.0))
        return
    free = max(devices, key=lambda device: device.memory - device.foreign)
    claim = Claim(0.1, 0, 1.0, 6 * (free.memory - free.foreign) // 10)
    granted = []
    for number in range(len(devices) + 1):
        answer = ledger.ask(f"run/{number}/a/1", claim)
        if isinstance(answer, Lease):
            granted.append(environment(answer)["CUDA_VISIBLE_DEVICES"])
    assert 0 < len(granted) == len(set(granted)) <= len(devices)
