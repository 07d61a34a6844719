"""What the tests of the prediction log share."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from boxplat.serving.log import annotation, reading
from boxplat.serving.log.journal import Journal
from boxplat.serving.log.limits import Limits

NOW = time.time_ns()


class Told(list[tuple[str, dict[str, Any]]]):
    """Hears what happens to a log."""

    def __call__(self, kind: str, data: dict[str, Any]) -> None:
        self.append((kind, data))

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self]


def journal(folder: Path, told: Told | None = None, **limits: Any) -> Journal:
    """One that does not compact by itself, because nobody calls `tend`, unless it is started."""
    return Journal(folder, {"endpoint": "e", "release": "7"}, Limits(**limits), told if told is not None else Told())


def ask(
    log: Journal,
    number: int | str,
    body: bytes = b"{}",
    answer: bytes = b"[1]",
    say: Callable[[], None] | None = None,
    status: int = 200,
) -> None:
    """One answered request."""
    slip = annotation.opened()
    if say is not None:
        say()
    annotation.close()
    offset = number if isinstance(number, int) else 0
    log.note(number, NOW + offset * 1000, 250_000, "predict", status, 4, body, answer, slip)


def rows(folder: Path, **options: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in reading.read(folder, **options).to_pylist()]


def numbers(folder: Path) -> list[int]:
    """The ids of all requests in a log, sorted, doubles included."""
    found = reading.query(folder, "select id from requests").column("id").to_pylist()
    return sorted(int(one, 16) for one in found)


def compacted(folder: Path) -> None:
    """Until no spool is left; a worker that has ended may have left a process that is at it too."""
    from boxplat.serving.log.compact import compact

    deadline = time.monotonic() + 60
    while list(folder.glob("*.spool")):
        compact(folder)
        assert time.monotonic() < deadline


@contextmanager
def full_disk() -> Iterator[io.TextIOBase]:
    """A file that takes nothing, in the place of standard error."""
    with open("/dev/full", "wb", buffering=0) as file:
        yield io.TextIOWrapper(file, write_through=True)
