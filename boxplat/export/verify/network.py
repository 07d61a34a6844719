"""Addresses of loopback for the pods of one verification, so that each has all ports for itself."""

from __future__ import annotations

import itertools
import random


class Network:
    """Draws addresses from a part of 127.0.0.0/8 that others hardly use: two verifications can run at once."""

    def __init__(self) -> None:
        self._prefix = f"127.{random.randrange(64, 127)}.{random.randrange(256)}"
        self._numbers = itertools.count(1)

    def address(self) -> str:
        """One that this network has not given before; after 254 they come again."""
        return f"{self._prefix}.{(next(self._numbers) - 1) % 254 + 1}"
