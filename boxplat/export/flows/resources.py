"""What a step's pod asks for: what its runs took and a margin, else what it declares."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from boxplat.export import gpus
from boxplat.export.model import Decorator, Document, Peak, Policy

_MIB = 2**20
# In a pod Metaflow runs up to four more processes beside the step, which nobody measures here: two that copy its logs,
# one that uploads them and one that looks out for the end of a spot node, each with 40 MiB and more.
_WRAPPING = 256
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": _MIB, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?i?)B?\s*")


def requested(declared: Mapping[str, Any], peak: Peak | None, margin: float) -> Document:
    """`resources` of a container, without GPUs.

    Requests are the measured peak and the margin, in MiB and thousandths of a core, where the step has run; else what
    Metaflow made of the declaration. The limit of memory is what is declared, or what is needed together with the
    processes around the step where that is more.

    Args:
        declared: `resources` as Metaflow emits them.
        margin: a share of the peak.
    """
    requests = {key: _plain(value) for key, value in declared.get("requests", {}).items()}
    limits = {key: _plain(value) for key, value in declared.get("limits", {}).items() if not key.endswith("/gpu")}
    if peak is not None and peak.runs:
        asked = requests.get("memory", "0")
        if peak.memory_mib:
            needed = _above(peak.memory_mib, margin)
            requests["memory"] = f"{needed}Mi"
            limits.setdefault("memory", max(asked, f"{needed + _WRAPPING}Mi", key=size))
        if peak.cpu:
            requests["cpu"] = f"{_above(peak.cpu * 1000, margin)}m"
    if "memory" in requests:
        limits.setdefault("memory", requests["memory"])
    # A limit that was set before anything was measured must not be below what is asked for.
    for key in requests.keys() & limits.keys():
        limits[key] = max(limits[key], requests[key], key=size if key != "cpu" else _cores)
    return {"requests": requests, "limits": limits}


def gpu_need(decorators: Iterable[Decorator], peak: Peak | None, policy: Policy) -> gpus.Need | None:
    """The GPUs of a step, None where it asks for none.

    As in a box, GPU memory alone asks for a device. What was measured, with the margin, counts before `@vram`.

    Raises:
        ValueError: `gpu` or `vram` is no number or size.
    """
    count, memory = 0.0, 0.0
    for deco in decorators:
        if deco.name == "resources" and deco.attributes.get("gpu") is not None:
            count = float(deco.attributes["gpu"])
            if not count:
                return None
        if deco.name == "vram" and deco.attributes.get("memory") is not None:
            memory = vram_mib(deco.attributes["memory"])
    if not count and not memory:
        return None
    if peak is not None and peak.vram_mib:
        memory = _above(peak.vram_mib, policy.margin)
    return gpus.Need(count or 1.0, memory)


def vram_mib(value: object) -> float:
    """MiB of what `@vram` is given: a number of MB, or a text with a unit.

    Raises:
        ValueError: it is no size.
    """
    return size(f"{value}M" if isinstance(value, int | float) or str(value).strip().isdigit() else str(value)) / _MIB


def size(text: str) -> float:
    """Bytes of a quantity of memory.

    Raises:
        ValueError: it is none.
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no size")
    return float(found[1]) * _UNITS[found[2].upper()]


def _cores(text: str) -> float:
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)


def _above(peak: float, margin: float) -> int:
    # Rounded first, so that 100 and a tenth of it are 110 and not a hair more.
    return math.ceil(round(peak * (1 + margin), 6))


def _plain(value: Any) -> str:
    """Whole numbers are written as such."""
    return re.sub(r"^(\d+)\.0+(?=\D*$)", r"\1", str(value))
