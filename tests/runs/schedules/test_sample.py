"""The sample project's flows: what starts by itself can, and only when there is something to work on."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from boxplat.core.config import load
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.schedules import listed, refused

ROOT = Path(__file__).parents[3]


def test_nothing_in_it_is_refused_and_nothing_starts_before_there_are_data(tmp_path: Path) -> None:
    config = load(ROOT / "boxplat.toml", {})
    assert refused(Paths(ROOT), config) == []
    state = StateStore.open(Paths(tmp_path))
    rows = {row.name: row for row in listed(state, Paths(ROOT), config)}
    state.close()
    assert {name: (row.cron, row.after) for name, row in rows.items()} == {
        "FeatureFlow": ("0 * * * *", ("IngestFlow",)),
        "ScoreFlow": ("0 0 * * *", ("TrainFlow",)),
    }
    assert {row.state for row in rows.values()} == {"on"}


def test_a_run_by_the_clock_waits_for_one_by_hand_that_makes_the_same_files(tmp_path: Path) -> None:
    script = (
        "from flights.turns import alone\nprint('asks', flush=True)\nwith alone():\n    print('has it', flush=True)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "flows"), "BOXPLAT_DATA": str(tmp_path)}
    held = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    with subprocess.Popen([sys.executable, "-c", script], env=env, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "asks\n"
        assert other.poll() is None
        os.close(held)
        assert other.stdout.readline() == "has it\n"
