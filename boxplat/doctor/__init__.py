"""`box doctor`: what is wrong with this machine, this Python, this project, and the command that mends it."""

from __future__ import annotations

import os
from importlib.resources import files
from pathlib import Path

from boxplat.core.config import Config, load
from boxplat.core.errors import BoxError
from boxplat.core.model import Check
from boxplat.core.paths import Paths
from boxplat.doctor import devices, live, machine, network, project, python, requests, schedules, storage
from boxplat.doctor.probe import Probe, Site, examine

__all__ = ["PROBES", "checks"]

PROBES: tuple[Probe, ...] = (
    *machine.PROBES,
    *python.PROBES,
    *devices.PROBES,
    *network.PROBES,
    *storage.PROBES,
    *project.PROBES,
    *requests.PROBES,
    *schedules.PROBES,
    *live.PROBES,
)


def checks(paths: Paths | None = None, config: Config | None = None) -> list[Check]:
    """Examine the machine and, where there is one, the project. Changes nothing, raises nothing, ends within 10 s.

    Args:
        paths: the project; None, or a folder without `boxplat.toml`, skips the checks that need one.
        config: its settings; read from the project when not given.

    Returns:
        One check for each probe, in a fixed order.
    """
    if paths is not None and not paths.config.is_file():
        paths = None
    if paths is not None and config is None:
        config = _settings(paths)
    constraints = Path(str(files("boxplat") / "constraints.txt"))
    return examine(PROBES, Site(paths=paths, config=config, environ=dict(os.environ), constraints=constraints))


def _settings(paths: Paths) -> Config | None:
    """None when the file is wrong: the check on it says how."""
    try:
        return load(paths.config, os.environ)
    except BoxError:
        return None
