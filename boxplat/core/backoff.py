"""How long to wait before the next try, and when to stop trying."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

FIRST_SECONDS = 0.25
MOST_SECONDS = 60.0
MOST_FAILURES = 6
STEADY_SECONDS = 30.0


@dataclass
class Backoff:
    """Exponential back-off with jitter; a start that stayed healthy for a while clears the count."""

    failures: int = 0
    retry_at: float = 0.0
    healthy_since: float | None = None
    rng: random.Random = field(default_factory=random.Random)

    def healthy(self, now: float) -> None:
        if self.healthy_since is None:
            self.healthy_since = now

    def failed(self, now: float) -> bool:
        """Count a failure and set the time of the next try. Returns False when it is time to give up."""
        if self.healthy_since is not None and now - self.healthy_since >= STEADY_SECONDS:
            self.failures = 0
        self.healthy_since = None
        self.failures += 1
        wait = min(MOST_SECONDS, FIRST_SECONDS * 2 ** (self.failures - 1))
        self.retry_at = now + wait * (0.8 + 0.4 * self.rng.random())
        return self.failures < MOST_FAILURES

    def reset(self) -> None:
        self.failures, self.retry_at, self.healthy_since = 0, 0.0, None
