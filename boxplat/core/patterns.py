"""Filters as people type them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(64)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a text passes a filter: a regular expression without regard to case; `!` in front turns it round."""
    wanted = not pattern.startswith("!")
    body = pattern if wanted else pattern[1:]
    search = expression(body).search
    return lambda text: not body or bool(search(text)) is wanted


def expression(pattern: str) -> re.Pattern[str]:
    """A regular expression without regard to case; a text that is none stands for itself."""
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error:
        return re.compile(re.escape(pattern), re.IGNORECASE)
