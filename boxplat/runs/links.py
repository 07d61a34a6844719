"""How a run, its MLflow run and its Metaflow run come to know of each other."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from boxplat.adapters import flows, tracking
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore


def tracking_url(state: StateStore) -> str | None:
    """The tracking server of this box where it runs, else the one of the environment."""
    service = next((service for service in state.services.all() if service.name == tracking.NAME), None)
    if service is not None and service.url:
        return service.url
    return os.environ.get("MLFLOW_TRACKING_URI")


def announce(state: StateStore, folder: Path, run_id: int, tracking_run_id: str) -> None:
    """Make the MLflow run known to the state and, by a file, to tasks that start later."""
    state.runs.update(run_id, tracking_run_id=tracking_run_id)
    partial = folder / "tracking_run_id.part"
    partial.touch(mode=0o600)
    partial.write_text(tracking_run_id)
    partial.replace(folder / "tracking_run_id")


def tag_metaflow(paths: Paths, config: Config, pathspec: str, tracking_run_id: str) -> None:
    """Tag a Metaflow run with its MLflow run; a failure is only reported."""
    try:
        flows.add_tag(pathspec, f"mlflow_run_id:{tracking_run_id}", child_environment(paths, config))
    except (OSError, subprocess.SubprocessError) as error:
        say(f"{pathspec} could not be tagged with its MLflow run: {error}")


def say(text: str) -> None:
    """A line of ours in the run's log."""
    print(f"[box] {text}", flush=True)
