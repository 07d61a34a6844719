"""What the figures were taken on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHOWN = ("boxplat", "bentoml", "fastapi", "litserve", "mlflow", "uvicorn", "uvloop", "httptools", "pydantic", "numpy")


def described() -> str:
    """One line: cores, memory, system, versions, load at the start, the day."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    parts = [f"{os.cpu_count()} x {_cpu()}", f"{memory:.0f} GiB", f"{platform.system()} {platform.release()}"]
    parts += [f"load average {os.getloadavg()[0]:.1f} at the start", f"{datetime.now(UTC):%d %B %Y}"]
    return f"Machine: {', '.join(parts)}. Python {platform.python_version()}; {', '.join(_versions())}."


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _versions() -> Iterator[str]:
    for name in (*SHOWN, "torch"):
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
