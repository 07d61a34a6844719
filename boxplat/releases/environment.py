"""The Python environment that a release was made in, as one digest."""

from __future__ import annotations

import hashlib
import platform
import re
from importlib import metadata, resources

_REQUIREMENT = re.compile(r"^([A-Za-z0-9][\w.-]*)==")


def environment_digest() -> str:
    """`sha256:…` over Python's version and the installed versions of every package that boxplat constrains."""
    text = resources.files("boxplat").joinpath("constraints.txt").read_text(encoding="utf-8")
    names = {match[1].lower() for line in text.splitlines() if (match := _REQUIREMENT.match(line))}
    lines = [f"python=={platform.python_version()}", *(f"{name}=={_version(name)}" for name in sorted(names))]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "none"
