"""What retention deletes is noted beside the log: whoever asks for such a prediction later is told why it is gone."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from boxplat.core.lines import append

FILE = ".deleted.jsonl"


@dataclass(frozen=True, slots=True)
class Deleted:
    """A file of the log that is gone: when it was deleted and why (age or size), and what was in it.

    `predictions` is how many; `begin` and `end` are the times of its first and last request (seconds since the epoch);
    `releases` is how many of each release.
    """

    file: str
    deleted: float
    why: str
    predictions: int = 0
    begin: float = 0.0
    end: float = 0.0
    releases: Mapping[int, int] = field(default_factory=dict)


def note(folder: Path, gone: Deleted) -> None:
    """Add a line. A full disk is what files are deleted for, so that nothing is said of it here."""
    with suppress(OSError):
        append(folder / FILE, asdict(gone))


def described(path: Path, why: str) -> Deleted:
    """What is in a file that is about to be deleted; only its name where it cannot be read."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    now = time.time()
    try:
        table = pq.read_table(path, columns=["release", "time"], partitioning=None)
    except (OSError, pa.ArrowException):
        return Deleted(path.name, now, why)
    counts = pc.value_counts(table.column("release").combine_chunks()).to_pylist()
    releases = {int(one["values"]): int(one["counts"]) for one in counts if one["values"] is not None}
    span = pc.min_max(table.column("time").cast(pa.timestamp("us")).cast(pa.int64())).as_py()
    begin, end = ((span[side] or 0) / 1e6 for side in ("min", "max"))
    return Deleted(path.name, now, why, table.num_rows, begin, end, releases)


def read(folder: Path) -> list[Deleted]:
    """What was deleted of a log, the first deletion first."""
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return []
    return [gone for line in lines if (gone := _parsed(line)) is not None]


def _parsed(line: bytes) -> Deleted | None:
    try:
        found = json.loads(line)
        releases = {int(number): int(count) for number, count in found.pop("releases").items()}
        return Deleted(**found, releases=releases)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # a line that a full disk cut short
