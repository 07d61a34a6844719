"""A copy of the project in which the sources end at a moment, and nothing else of the data is to be found."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from boxplat.features.audit.sources import FORMATS, Source

FLOWS, OUTSIDE = "flows", "outside"
_SETTINGS = (".py", ".toml", ".yaml", ".yml")


class Mirror:
    """The copied project at `root`.

    Code is there: the folders in `copied`, and links to the project's other folders that hold Python and no source. Of
    the data there is only what is put at its `place`: a file of the project at its own relative path, one from
    elsewhere below `outside/`. So code that uses relative paths, or `BOXPLAT_DATA`, reads cut files unknowingly.
    """

    def __init__(self, project: Path, root: Path, copied: Sequence[str], sources: Sequence[Source]) -> None:
        self.project, self.root = project, root
        holding = {self.place(file).relative_to(root).parts[0] for source in sources for file in source.files}
        self._code = {entry.name for entry in project.iterdir() if self._bring(entry, copied, holding)}

    def place(self, file: Path) -> Path:
        """Where a file, of the project or from elsewhere, lies in the copy."""
        if file.is_relative_to(self.project):
            return self.root / file.relative_to(self.project)
        return self.root / OUTSIDE / file.relative_to(file.anchor)

    def folder(self, sources: Sequence[Source]) -> Path:
        """The nearest folder in the copy that holds all sources."""
        return Path(os.path.commonpath([self.place(file).parent for source in sources for file in source.files]))

    def link(self, sources: Sequence[Source]) -> None:
        """Put the uncut files at their places."""
        for source in sources:
            for file in source.files:
                place = self.place(file)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                place.symlink_to(file)

    def clear(self) -> None:
        """Remove everything but the code: the data, and what the last build wrote."""
        for entry in self.root.iterdir():
            if entry.name not in self._code:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def _bring(self, entry: Path, copied: Sequence[str], holding: set[str]) -> bool:
        target = self.root / entry.name
        if entry.name in copied:
            no_data = shutil.ignore_patterns("__pycache__", ".*", *(f"*{suffix}" for suffix in FORMATS))
            shutil.copytree(entry, target, ignore=no_data)
        elif entry.name.startswith(".") or entry.name in holding:
            return False
        elif entry.is_dir() and any(next(entry.glob(pattern), None) for pattern in ("*.py", "*/*.py")):
            target.symlink_to(entry)
        elif entry.is_file() and entry.suffix in _SETTINGS:
            shutil.copy(entry, target)
        else:
            return False
        return True
