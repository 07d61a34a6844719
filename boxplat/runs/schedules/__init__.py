"""Flows that start by themselves: at the times of `@schedule`, and with the events of `@trigger`."""

from boxplat.runs.schedules.firing import Firing
from boxplat.runs.schedules.verbs import listed, pause, publish, refused, run_now

__all__ = ["Firing", "listed", "pause", "publish", "refused", "run_now"]
