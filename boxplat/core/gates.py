"""Settings of the gates before a promotion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class GateConfig:
    """`[gates.MODEL]`: what a version must show before an alias is moved to it (docs/promotion.md explains each key).

    `data` is where the held-out rows come from (`module:function`, a file; empty: the table beside the model). `metric`
    may be worse than the champion's by `margin`, or must be better (`superior`). `require` has bars by metric. In each
    of the `slices`, one with `slice_rows` rows or more must reach `slice_floor` and not lose over `slice_margin`. A
    number of 0 is no gate.
    """

    data: str = ""
    metric: str = "auc"
    margin: float = 0.005
    superior: bool = False
    require: Mapping[str, str] = field(default_factory=dict)
    slices: tuple[str, ...] = ()
    slice_floor: float = 0.0
    slice_margin: float = 0.02
    slice_rows: int = 200
    calibration_error: float = 0.0
    latency_ms: float = 0.0
    latency_ratio: float = 0.0
    latency_rows: int = 1
    size_mib: float = 0.0
    signature: bool = True
    leakage: bool = True
