"""What the Python of an image holds: what its component needs, at the versions that run here."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from boxplat.core.errors import BoxError, ExitCode

# Asked for by SQLAlchemy's extra for type checking, which Feast takes; no process imports it.
OMITTED = frozenset({"mypy"})
_OPTION = re.compile(r"--(?:index-url|extra-index-url|find-links|trusted-host|no-index)\b|-[if] ")
_HASH = re.compile(r"\s+--hash[= ]\S+")


def constraints(text: str) -> dict[str, str]:
    """Versions by canonical name of a constraints file of `name==version` lines."""
    pairs = (line.split("==", 1) for line in text.splitlines() if "==" in line)
    return {canonicalize_name(name): version.strip() for name, version in pairs}


def requirements(file: Path) -> list[Requirement]:
    """The requirements of a `requirements.txt`; nothing where there is none. Where to find packages is left out.

    Raises:
        BoxError: a line that names no package and version of an index (exit code 2).
    """
    if not file.is_file():
        return []
    text = file.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (_HASH.sub("", re.sub(r"(^|\s)#.*", "", line)).strip() for line in text.splitlines())
    return [_requirement(line, file) for line in lines if line and not _OPTION.match(line)]


def _requirement(line: str, file: Path) -> Requirement:
    try:
        found = Requirement(line)
    except InvalidRequirement as error:
        raise _unlockable(line, file) from error
    if found.url:
        raise _unlockable(line, file)
    return found


def _unlockable(line: str, file: Path) -> BoxError:
    return BoxError(
        f"{line!r} in {file} cannot be locked for an image",
        why="an image takes packages from an index, by name and version",
        fix="write it as name==version",
        code=ExitCode.USAGE,
    )


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions by name: `fixed` whatever is installed here, `known` of what is not, since only a cluster needs it."""

    fixed: Mapping[str, str]
    known: Mapping[str, str]

    def of(self, requirement: Requirement) -> str:
        """The version to lock.

        Raises:
            BoxError: it is neither installed nor known, or installed in a version that is excluded (exit code 4).
        """
        name = canonicalize_name(requirement.name)
        if name in self.fixed:
            return self.fixed[name]
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if name in self.known:
                return self.known[name]
            raise _missing(requirement, "it is not installed here") from None
        if not requirement.specifier.contains(version, prereleases=True):
            raise _missing(requirement, f"version {version} is installed here")
        # Which build of a version, CPU or CUDA, is for the image to say.
        return version.partition("+")[0]


def lock(roots: Iterable[Requirement], versions: Versions) -> dict[str, str]:
    """Versions by name of the roots and of all that they need, in alphabetical order.

    Raises:
        BoxError: one of them has no version, or is installed in one that is excluded (exit code 4).
    """
    found: dict[str, str] = {}
    asked: set[tuple[str, str]] = set()
    waiting = list(roots)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in OMITTED or (requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})):
            continue
        if name not in found:
            found[name] = versions.of(requirement)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in asked:
                asked.add((name, extra))
                waiting += needed(name, extra)
    return dict(sorted(found.items()))


def _missing(requirement: Requirement, why: str) -> BoxError:
    return BoxError(
        f"no image can be locked with {requirement}",
        why=f"{why}, and an image holds the versions that the box has run with",
        fix=f"pip install {str(requirement)!r}, or change what asks for it",
        code=ExitCode.PRECONDITION,
    )


def needed(name: str, extra: str) -> Iterator[Requirement]:
    """What an installed distribution asks for with one extra, or without any."""
    for line in _requires(name):
        requirement = Requirement(line)
        marker = requirement.marker
        plain = marker is None or marker.evaluate({"extra": ""})
        if plain if not extra else (not plain and marker is not None and marker.evaluate({"extra": extra})):
            requirement.marker = None
            yield requirement


@cache
def _requires(name: str) -> tuple[str, ...]:
    try:
        return tuple(importlib.metadata.distribution(name).requires or ())
    except importlib.metadata.PackageNotFoundError:
        return ()
