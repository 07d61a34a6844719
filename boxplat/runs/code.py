"""Which code a run used: the git commit, a digest of the source files, and the versions of the key packages."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

# What Metaflow packs with a flow: files of these kinds in the flow's folder and below.
SUFFIXES = (".py", ".R", ".RDS")
MOST_FILES = 2_000
# Whatever is hidden (.box, .git, .venv) is left out as well.
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages"})
KEY_PACKAGES = (
    "bentoml",
    "boxplat",
    "duckdb",
    "feast",
    "metaflow",
    "mlflow",
    "numpy",
    "pandas",
    "pyarrow",
    "scikit-learn",
    "torch",
)


def tags(flow: Path) -> dict[str, str]:
    """Everything below as tags of a tracking run; what cannot be found out is left out."""
    scope, digest = package_digest(flow)
    found = {"boxplat.code_digest": digest, "boxplat.code_scope": scope, **_git(flow.parent)}
    for package in KEY_PACKAGES:
        try:
            found[f"version.{package}"] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def package_digest(flow: Path) -> tuple[str, str]:
    """SHA-256 over names and contents of the flow's code package, independent of the order on disk.

    Returns:
        (scope, digest): scope is `folder`, or `file` where the folder holds too many files to be a code package.
    """
    files = list(islice((path for path in own_files(flow.parent) if path.suffix in SUFFIXES), MOST_FILES + 1))
    if len(files) > MOST_FILES:
        return "file", digest_of(flow.parent, [flow])
    return "folder", digest_of(flow.parent, files)


def own_files(folder: Path) -> Iterator[Path]:
    """The files below a folder that its owner wrote: nothing hidden, no caches, no installed packages."""
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        yield from (Path(root, name) for name in names if not name.startswith("."))


def digest_of(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 over names relative to the folder and contents, in the order of the names."""
    digest = hashlib.sha256()
    for path in sorted(files):
        try:
            content = path.read_bytes()
        except OSError:
            continue  # a file that vanished, or a dangling link
        digest.update(f"{path.relative_to(folder)}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _git(folder: Path) -> dict[str, str]:
    """The commit and whether tracked files differ from it; empty outside a repository or without git."""
    try:
        commit = _output(folder, "rev-parse", "HEAD")
        changes = _output(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"mlflow.source.git.commit": commit, "boxplat.git_dirty": str(bool(changes)).lower()}


def _output(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    return done.stdout.strip()
