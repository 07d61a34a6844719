"""The gates before a promotion: rules declared in `boxplat.toml`, judged on evidence of both versions."""

from __future__ import annotations
