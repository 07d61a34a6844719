"""How much a prediction log keeps."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a log keeps.

    Attributes:
        sample: share of the requests, picked by their ids.
        memory: bytes that may wait to be written.
        body: bytes beyond which a body is cut.
        days, mib: age and size beyond which the oldest files are deleted; 0: never.
    """

    sample: float = 1.0
    memory: int = 64 * 2**20
    body: int = 64 * 1024
    days: int = 0
    mib: int = 0
