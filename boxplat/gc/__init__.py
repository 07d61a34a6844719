"""Freeing disk: what may go, what of it goes, and letting it go so that a kill does no harm."""

from __future__ import annotations

from boxplat.gc.model import Limits, Outcome, Plan

__all__ = ["Limits", "Outcome", "Plan"]
