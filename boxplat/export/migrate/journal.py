"""What has been done of a migration: the copies that it reads, the objects that it wrote, and the lock on all of it."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxplat.core import lines
from boxplat.core.errors import BoxError, ExitCode

_STATE, _OBJECTS, _CLAIM = "state.json", "objects.jsonl", "claimed"


class Journal:
    """The folder of all migrations of a project to one target: `.box/migrate/<digest of the target>`.

    `work` holds copies of the local databases as they were when the migration under way began, which one that was cut
    off reads again; `base` those of the last one that ended.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.work, self.base = folder, folder / "work", folder / "base"

    @classmethod
    def of(cls, state: Path, target: str) -> Journal:
        """That of a target, by a text that tells it from all others."""
        return cls(state / "migrate" / hashlib.sha256(target.encode()).hexdigest()[:12])

    @property
    def under_way(self) -> bool:
        """Whether a migration began and did not end: the copies in `work` are complete."""
        return (self.work / _STATE).exists()

    def claim(self) -> None:
        """Remember that the database over there was empty: what is in it from now on is from here."""
        (self.folder / _CLAIM).touch(mode=0o600)

    @property
    def claimed(self) -> bool:
        return (self.folder / _CLAIM).exists()

    @property
    def ended(self) -> bool:
        """Whether a migration of this project to this target ever ended."""
        return (self.base / _STATE).exists()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other migrations of this project to this target away.

        Raises:
            BoxError: there is one (exit code 4).
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as error:
            raise BoxError(
                "another box export migrate to this target is at work",
                why="two at once would not know what the other writes",
                fix="wait until it has ended, then run the same command again",
                code=ExitCode.PRECONDITION,
            ) from error
        finally:
            os.close(file)

    def forget(self) -> None:
        """Let the copies go: what was found in them is to be mended first."""
        shutil.rmtree(self.work, ignore_errors=True)

    def fresh(self) -> Path:
        """An empty `work`, for copies; `begin` makes them count."""
        self.forget()
        self.work.mkdir(mode=0o700)
        return self.work

    def begin(self, facts: Mapping[str, Any]) -> None:
        """The copies are complete."""
        half = self.work / f"{_STATE}.half"
        half.write_text(json.dumps(facts))
        half.replace(self.work / _STATE)

    def facts(self) -> dict[str, Any]:
        """What `begin` was told."""
        found: dict[str, Any] = json.loads((self.work / _STATE).read_bytes())
        return found

    def end(self) -> None:
        """Everything is over there: what was read is what changes are told by from now on."""
        former = self.folder / "former"
        shutil.rmtree(former, ignore_errors=True)
        if self.base.exists():
            self.base.rename(former)
        self.work.rename(self.base)
        shutil.rmtree(former, ignore_errors=True)

    def wrote(self, key: str, content: str, etag: str = "") -> None:
        """Remember an object; also before it is written, since what happens in between is not known afterwards."""
        lines.append(self.folder / _OBJECTS, {"key": key, "content": content, "etag": etag})

    def objects(self) -> dict[str, dict[str, str]]:
        """By key, every ETag that an object had when it was written here, and that of the file's own content."""
        found: dict[str, dict[str, str]] = {}
        for record in lines.read(self.folder / _OBJECTS):
            found.setdefault(record["key"], {})[record["etag"] or record["content"]] = record["content"]
        return found
