"""What tasks used, what that teaches about the next run, and what it cost."""

from boxplat.runs.profiles.expected import Expected, expected, expected_all, learnt

__all__ = ["Expected", "expected", "expected_all", "learnt"]
