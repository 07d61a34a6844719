"""Bento services: building one and running one, each in a process of its own. BentoML is imported inside functions."""

from __future__ import annotations

from boxplat.serving.log.annotation import annotate

__all__ = ["annotate"]
