"""From what a step asks for, and what its last runs took, to its claim."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from boxplat.core.claims import Capacity, Claim, Priority
from boxplat.core.errors import BoxError, ExitCode
from boxplat.runs.ledger import refuse

# Of a step that asks for nothing and has never run: Python with a data frame or two.
ASSUMED = 256 * 2**20
_MB = 10**6
_UNITS = {"": _MB, "M": _MB, "G": 10**9, "T": 10**12, "MI": 2**20, "GI": 2**30, "TI": 2**40}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*((?:[MGT]i?)?)B?\s*", re.IGNORECASE)


def claim(asked: Mapping[str, Any], learnt: Mapping[str, float], priority: Priority, nodes: int = 1) -> Claim:
    """The claim of a step.

    What it does not ask for is taken from its last runs; else it is one core and 256 MiB. A GPU that is asked for
    without its memory, by a step whose use of it is not known, is claimed whole.

    Args:
        asked: `cpu`, `memory` (MB), `gpu` (devices) as in `@resources`, `vram` (MB, or a text as "6G") as in `@vram`.
        learnt: `memory` and `vram` (bytes), `seconds`.
        nodes: of a `@parallel` step; it asks for each of them.

    Raises:
        BoxError: one of them is no number or size (exit code 2).
    """
    vram = _bytes("vram", asked["vram"]) if "vram" in asked else int(learnt.get("vram", 0))
    gpus = _number("gpu", asked["gpu"]) if "gpu" in asked else float(vram > 0)
    return Claim(
        cores=_number("cpu", asked["cpu"]) * nodes if "cpu" in asked else 1.0,
        memory=_bytes("memory", asked["memory"]) * nodes if "memory" in asked else int(learnt.get("memory", ASSUMED)),
        gpus=gpus * nodes,
        vram=vram if gpus else 0,
        priority=priority,
        expected_seconds=learnt.get("seconds"),
        asked="memory" in asked or "vram" in asked,
    )


def within(wanted: Claim, asked: Mapping[str, Any], capacity: Capacity) -> Claim:
    """The claim without what nobody asked for and the machine does not have: that was learnt on another, or assumed."""
    most = min((device.memory for device in capacity.devices), default=0)
    return replace(
        wanted,
        cores=wanted.cores if "cpu" in asked else min(wanted.cores, capacity.cores),
        memory=wanted.memory if "memory" in asked else min(wanted.memory, capacity.memory),
        gpus=wanted.gpus if capacity.devices or not asked.keys().isdisjoint({"gpu", "vram"}) else 0.0,
        vram=wanted.vram if "vram" in asked else min(wanted.vram, most),
    )


def refuse_what_never_fits(stored: str, steps: Mapping[str, Mapping[str, Any]], capacity: Capacity) -> None:
    """Check what a flow's steps ask for, before anything of it runs.

    Args:
        stored: the flow's file, for the words.
        steps: what each asks for, as far as that is known.

    Raises:
        BoxError: a step asks for more than there is (exit code 8), or not clearly (2).
    """
    for step, asked in steps.items():
        refuse(f"step {step} of {stored}", within(claim(asked, {}, Priority.BATCH), asked, capacity), capacity)


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise _unclear(name, value, "a number") from None
    if not 0 <= number < float("inf"):
        raise _unclear(name, value, "a number of at least 0")
    return number


def _bytes(name: str, value: Any) -> int:
    """Bytes of a size: a number is MB, as Metaflow counts memory; a text may have a unit (M, Mi, G, Gi, T, Ti)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(_number(name, value) * _MB)
    match = _SIZE.fullmatch(str(value))
    if match is None:
        raise _unclear(name, value, 'a size such as 6000 (MB) or "6G"')
    return int(float(match[1]) * _UNITS[match[2].upper()])


def _unclear(name: str, value: Any, wanted: str) -> BoxError:
    decorator = f"@vram({value!r})" if name == "vram" else f"@resources({name}={value!r})"
    return BoxError(
        f"{decorator} cannot be understood",
        why=f"{name} must be {wanted}",
        fix="correct the decorator in the flow, then run it again",
        code=ExitCode.USAGE,
    )
