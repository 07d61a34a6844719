"""Names of the processes that serve an endpoint: `delay@7` is release 7 of `delay`, `delay@7.2` its second replica."""

from __future__ import annotations

import re
from dataclasses import dataclass

KIND = "release"
GATEWAY = "gateway"
_NAME = re.compile(r"(?P<endpoint>[^@]+)@(?P<release>[0-9]+)(?:\.(?P<index>[0-9]+))?")


@dataclass(frozen=True, slots=True, order=True)
class Replica:
    """One process of a release; `index` counts from 1."""

    endpoint: str
    release: int
    index: int = 1

    @property
    def name(self) -> str:
        """The name of its service."""
        return f"{self.endpoint}@{self.release}" + (f".{self.index}" if self.index > 1 else "")

    @classmethod
    def of(cls, service: str) -> Replica | None:
        """The replica that a service is; None: it is another service."""
        found = _NAME.fullmatch(service)
        return cls(found["endpoint"], int(found["release"]), int(found["index"] or 1)) if found else None
