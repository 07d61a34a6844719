"""New projects from the sample that boxplat ships."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import CONFIG_NAME, refuse_odd, unwritable

_PARTS = ("flows", "feature_repo", "bentos", CONFIG_NAME)
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".metaflow", ".box")
_GITIGNORE = ".box/\n.metaflow/\n__pycache__/\n"
_EMPTY = """# Settings of this project; every key is optional. See: box config --origin
[project]
name = "{name}"
"""


def source() -> Path:
    """The sample project: packed in the wheel, or the checkout that an editable install points to."""
    package = Path(str(resources.files("boxplat")))
    packed = package / "_template"
    return packed if packed.is_dir() else package.parent


def create(directory: Path, empty: bool) -> list[Path]:
    """Write a new project and return its files, relative to it.

    Raises:
        BoxError: something is there already (exit code 2), or no permission (4).
    """
    refuse_odd(directory.resolve())
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise BoxError(
            f"{directory} exists and is not empty",
            why="`box init` never writes over something",
            fix=f"box init {directory}-2   (or empty the folder first)",
            code=ExitCode.USAGE,
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _write(directory, empty)
    except OSError as error:
        raise unwritable(directory, error) from error
    return sorted(path.relative_to(directory) for path in directory.rglob("*") if path.is_file())


def _write(directory: Path, empty: bool) -> None:
    (directory / ".gitignore").write_text(_GITIGNORE)
    if empty:
        for part in ("flows", "feature_repo", "bentos"):
            (directory / part).mkdir()
        (directory / CONFIG_NAME).write_text(_EMPTY.format(name=directory.resolve().name))
        return
    for part in _PARTS:
        origin = source() / part
        if origin.is_dir():
            shutil.copytree(origin, directory / part, ignore=_IGNORED)
        else:
            shutil.copyfile(origin, directory / part)
