"""What calibration chose for one version of a model, and the evidence for it, as the registry keeps them."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TAG = "boxplat.backend"
EVIDENCE = "boxplat.backend.evidence"
SCHEMA_VERSION = 1
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimddp", "i8mm", "sve")


@dataclass(frozen=True)
class Choice:
    """The back end of a model version.

    `files`: SHA-256 by path of what it runs from; `tolerance`: largest difference from eager relative to the scale of
    the answers; `batches`: sizes it was measured at; `threads`: intra-op threads; `machine`: where; `rows`: how many
    were compared, and whose; `results`: one row for each back end that was tried.
    """

    backend: str
    files: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = 1e-4
    batches: tuple[int, ...] = (1, 8, 32)
    threads: int = 1
    machine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    at: str = ""
    rows: str = ""
    results: tuple[Mapping[str, Any], ...] = ()

    def text(self) -> str:
        """JSON, as the tag has it."""
        return json.dumps({"schema_version": SCHEMA_VERSION, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | None) -> Choice | None:
        """From a tag; None where there is none or where a later boxplat wrote it."""
        try:
            found = json.loads(text or "")
        except ValueError:
            return None
        if not isinstance(found, dict) or found.pop("schema_version", None) != SCHEMA_VERSION:
            return None
        known = {name: value for name, value in found.items() if name in cls.__dataclass_fields__}
        return cls(**{**known, "batches": tuple(known["batches"]), "results": tuple(known.get("results", ()))})


def machine() -> dict[str, Any]:
    """This machine as far as it decides how numbers are computed: processor and its vector instructions."""
    name, flags = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            flags = set(value.split())
            break
    return {"cpu": name, "instructions": [flag for flag in _FLAGS if flag in flags]}
