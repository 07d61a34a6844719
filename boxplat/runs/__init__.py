"""Runs: from a queued flow to rows in the state and a run in MLflow."""

from boxplat.runs.control import cancel, start, wait

__all__ = ["cancel", "start", "wait"]
