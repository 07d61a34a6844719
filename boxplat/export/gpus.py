"""Which kind of GPU of the cluster a pod asks for, by `[gpus]` of `boxplat.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from boxplat.core.export_config import GpuConfig
from boxplat.export.model import Document

RESOURCE = "nvidia.com/gpu"


@dataclass(frozen=True, slots=True)
class Need:
    """What a pod needs: `count` devices, each with `memory_mib` (0: not said)."""

    count: float = 1.0
    memory_mib: float = 0.0


class Unknown(ValueError):
    """Why no kind of `[gpus]` can be given; `fix` is what to write there."""

    def __init__(self, why: str, fix: str) -> None:
        super().__init__(why)
        self.fix = fix


def chosen(need: Need, gpus: Mapping[str, GpuConfig]) -> GpuConfig:
    """The kind of GPU for a need.

    Of those with enough memory the smallest; where no memory is said, the default. Without `[gpus]` it is any GPU of
    NVIDIA's.

    Raises:
        Unknown: none fits, it is not clear which one is meant, or a part of a device is asked for and not its memory.
    """
    if need.count != int(need.count) and not need.memory_mib:
        raise Unknown(f"gpu={need.count:g} is a part of a device", 'say how much of its memory: @vram("6G")')
    if not gpus:
        return GpuConfig()
    if need.memory_mib:
        return _smallest(need.memory_mib, gpus)
    defaults = [kind for kind in gpus.values() if kind.default or len(gpus) == 1]
    if not defaults:
        raise Unknown(f"[gpus] has {', '.join(sorted(gpus))} and no default", f"[gpus.{min(gpus)}] default = true")
    return defaults[0]


def _smallest(memory_mib: float, gpus: Mapping[str, GpuConfig]) -> GpuConfig:
    fitting = [kind for kind in gpus.values() if kind.memory_mib >= memory_mib]
    if fitting:
        return min(fitting, key=lambda kind: (kind.memory_mib, not kind.default))
    largest = max(kind.memory_mib for kind in gpus.values())
    why = f"it needs {memory_mib:.0f} MiB of GPU memory, and the largest GPU of [gpus] has {largest or 'none said'}"
    raise Unknown(why, f"[gpus.NAME] with memory_mib = {memory_mib:.0f} or more")


def devices(need: Need) -> int:
    """How many are asked for; a part of a device is a device (of MIG) of its own."""
    return max(1, int(need.count))


def placement(kind: GpuConfig) -> Document:
    """`tolerations` and, if any, `nodeSelector` of a pod that asks for this kind.

    GPU nodes carry a taint of the name of NVIDIA's resource, so that only pods that ask for a GPU land on them.
    """
    found: list[dict[str, Any]] = [{"key": RESOURCE, "operator": "Exists", "effect": "NoSchedule"}]
    for text in kind.tolerations:
        key, _, effect = text.rpartition(":")
        key, equals, value = key.partition("=")
        said = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
        toleration = {"key": key, **said, "effect": effect}
        if toleration not in found:
            found.append(toleration)
    return {"tolerations": found, **({"nodeSelector": dict(kind.selector)} if kind.selector else {})}
