"""Keeping what a run's tasks use: in the state, and in the spool for the run's record in MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from boxplat.core.config import RatesConfig
from boxplat.core.profile import Profile
from boxplat.core.state import StateStore
from boxplat.runs import spool
from boxplat.runs.profiles.cost import cost
from boxplat.runs.profiles.sample import Sampler


class Profiling:
    """The profiles of one run while it goes on.

    Args:
        path: the run's spool.
        rates: what use costs.
    """

    def __init__(self, state: StateStore, run_id: int, path: Path, rates: RatesConfig) -> None:
        self._state = state
        self._path = path
        self._rates = rates
        self._sampler = Sampler(run_id, rates.core_watts)

    def take(self, records: Iterable[spool.Record]) -> None:
        """Hear what the tasks told, and look at those that run."""
        self._keep(self._sampler.take(records))
        self._sampler.look()

    def close(self) -> None:
        """Keep what was seen of the tasks that did not tell of their end."""
        self._keep(self._sampler.close())

    def recover(self, records: Sequence[spool.Record]) -> None:
        """Keep what the tasks told after their launcher was killed.

        Args:
            records: all of the spool.
        """
        kept = {_key(record["profile"]) for record in records if record["kind"] == "profile"}
        told = self._sampler.take(records)
        self._keep([profile for profile in told if _key(asdict(profile)) not in kept])

    def _keep(self, done: Sequence[Profile]) -> None:
        self._state.profiles.put(done)
        for profile in done:
            total = cost(profile, self._rates).total
            record = {"kind": "profile", "at": time.time(), "step": profile.step, "cost": total}
            spool.append(self._path, record | {"profile": asdict(profile)})


def _key(profile: Mapping[str, Any]) -> tuple[object, ...]:
    return profile.get("step"), profile.get("task"), profile.get("attempt")
