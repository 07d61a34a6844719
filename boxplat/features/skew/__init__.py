"""Served features against the same ones recomputed offline: do they differ, and why."""

from boxplat.features.skew.report import Report
from boxplat.features.skew.verb import skew

__all__ = ["Report", "skew"]
