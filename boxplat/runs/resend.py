"""Sending what the tracking server missed while it was down.

`python -m boxplat.runs.resend` with the project as the working folder and MLFLOW_TRACKING_URI set.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from boxplat.core import config as settings
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.links import announce, say, tag_metaflow, tracking_url
from boxplat.runs.outbox import ANSWER, Outbox, Unsent, box_identity, spool_path
from boxplat.runs.profiles.profiling import Profiling
from boxplat.runs.progress import Progress, close_tasks
from boxplat.runs.shipping import Shipment
from boxplat.runs.spool import Tail
from boxplat.runs.sweeps.parent import lineage


def pending(paths: Paths) -> list[int]:
    """Runs of which MLflow lacks something, oldest first; a running launcher's own run may be among them."""
    return sorted(int(mark.parent.name) for mark in paths.runs.glob("*/unsent") if mark.parent.name.isdecimal())


def send_missed(state: StateStore, paths: Paths, config: Config, url: str) -> list[int]:
    """Replay the spools of ended runs whose launcher could not send everything.

    May be repeated, killed at any point and run twice at once: an MLflow run is looked up by its identity before one is
    made, and whoever sends holds a lock on the run's mark.

    Returns:
        The runs that are now complete in MLflow.
    """
    return [run_id for run_id in pending(paths) if _send(state, paths, config, url, run_id)]


def _send(state: StateStore, paths: Paths, config: Config, url: str, run_id: int) -> bool:
    try:
        run = state.runs.get(run_id)
    except BoxError:
        return False  # a folder of a box whose state was replaced
    mark = Unsent(paths.run_dir(run_id))
    if not run.state.over or not mark.claim(make=False):
        return False
    try:
        spool = spool_path(paths.run_dir(run_id))
        # A killed launcher may have missed the last records for the state as well.
        records = Tail(spool).read()
        Progress(state, run_id).take(records)
        Profiling(state, run_id, spool, config.rates).recover(records)
        close_tasks(state, run_id, run.state, run.ended or run.created)
        run = state.runs.get(run_id)
        shipment = Shipment(run, f"{box_identity(state)}/{run_id}", paths.metaflow, say, lineage(state, paths, run))
        known: list[str] = []
        outbox = Outbox(shipment, spool, lambda: url, known.append, say)
        if not outbox.attempt(2 * ANSWER, run):
            return False
        for tracking_run_id in known:
            announce(state, paths.run_dir(run_id), run_id, tracking_run_id)
            if run.pathspec:
                tag_metaflow(paths, config, run.pathspec, tracking_run_id)
        mark.sent()
        return True
    finally:
        mark.release()


def main() -> int:
    """Send everything of the project in the working folder."""
    paths = Paths(Path(os.environ.get("BOXPLAT_PROJECT") or os.getcwd()))
    state = StateStore.open(paths)
    url = tracking_url(state)
    if url is None:
        say("nothing was sent: no tracking server runs")
        return 1
    for run_id in send_missed(state, paths, settings.load(paths.config, os.environ), url):
        state.events.append(f"run/{run_id}", "run.tracked", {})
        say(f"run {run_id}: sent to {url}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
