"""`[compute]`: how much of the machine the box may claim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

_PREFIX = "BOXPLAT_COMPUTE_"


@dataclass(frozen=True, slots=True)
class ComputeConfig:
    """`[compute]`: at most `cores` and `memory_mib` are claimed in all (0: what the machine or the control group has),
    and `reserve_mib` of its memory are left alone.

    A step that takes more memory than it asked for is told of ("report"), or stopped as well ("stop").
    """

    cores: float = 0.0
    memory_mib: int = 0
    reserve_mib: int = 512
    overuse: str = "report"

    def environment(self) -> dict[str, str]:
        """The variables that say the same to a child process."""
        return {f"{_PREFIX}{key.upper()}": str(value) for key, value in asdict(self).items()}

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> ComputeConfig:
        """What such variables say; tasks read them instead of the settings file."""
        default = cls()
        found = {}
        for field in fields(cls):
            text = environ.get(f"{_PREFIX}{field.name.upper()}")
            if text is not None:
                found[field.name] = type(getattr(default, field.name))(text)
        return cls(**found)
