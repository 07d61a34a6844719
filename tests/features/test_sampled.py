"""Keys that are taken to ask a feature service for."""

from __future__ import annotations

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import apply, materialize, sampled


def test_those_that_are_online_come_first(state: StateStore, paths: Paths, config: Config) -> None:
    apply(state, paths, config, "test", [].append)
    materialize(state, paths, config, None, None, "test", [].append)
    assert sampled.services(paths, config) == ["weather_v1"]
    rows = sampled.vectors(paths, config, "weather_v1", 4)
    assert len({row["keys"]["airport"] for row in rows}) == 4
    assert all(status == "PRESENT" for row in rows for status in row["status"].values())
    assert len(sampled.vectors(paths, config, "weather_v1", 50)) == 10
