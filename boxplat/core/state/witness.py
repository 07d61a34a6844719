"""The hashes of the record's entries in a file outside the database: what was cut off or written anew is noticed there.

One line an entry, `chain number hash time`, where `chain` is the beginning of the first entry's hash. A line is written
after its entry is committed, so that the file may lag behind the table and never runs ahead of it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from boxplat.core.state.chain import Fault, Head, gaps

_LINE = re.compile(rb"([0-9a-f]{16}) ([1-9][0-9]{0,17}) ([0-9a-f]{64}) \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_CHAIN = 16


def place(database: Path) -> Path:
    """The file that belongs to a database."""
    return database.with_name("record.heads")


@dataclass(frozen=True)
class Witness:
    """What the file holds of one chain.

    `hashes` by number; `former`: the last line of another chain before the first of this one; `unreadable`: numbers of
    lines (from 1) that are none.
    """

    there: bool
    hashes: dict[int, str] = field(default_factory=dict)
    former: Head | None = None
    unreadable: tuple[int, ...] = ()

    def faults(self, entries: int) -> list[Fault]:
        """What is wrong with the file itself, beside a record of so many entries."""
        if not self.there:
            return [
                Fault(
                    None,
                    "witness",
                    "its file is gone or cannot be read: nothing tells whether the last entries were cut off",
                )
            ]
        found = [Fault(None, "witness", f"line {line} of its file is no line of it") for line in self.unreadable]
        last = max(self.hashes, default=0)
        absent = gaps(self.hashes, 0)
        found += [Fault(None, "witness", f"its file lacks lines, from entry {begin} to {end}") for begin, end in absent]
        if last < entries:
            found.append(Fault(None, "witness", f"its file ends at entry {last}, the table at {entries}"))
        return found


def parse(content: bytes | None, first: str | None) -> Witness:
    """What the file's content (None: no file) says of the chain whose first entry has this hash (None: of no chain)."""
    if content is None:
        return Witness(there=False)
    hashes: dict[int, str] = {}
    former: Head | None = None
    unreadable = []
    for count, line in enumerate(content.splitlines(), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            unreadable.append(count)
            continue
        chain, number, digest = match[1].decode(), int(match[2]), match[3].decode()
        if first is not None and chain == first[:_CHAIN]:
            hashes.setdefault(number, digest)
        elif not hashes:
            former = Head(number, digest)
    return Witness(True, hashes, former, tuple(unreadable))


def read(path: Path) -> bytes | None:
    """The file's content; None where there is none that can be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def write(path: Path, heads: Sequence[Head], first: str) -> None:
    """Append lines for these entries of the chain whose first entry has this hash.

    Raises:
        OSError: it cannot be written.
    """
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = "".join(f"{first[:_CHAIN]} {head.number} {head.hash} {now}\n" for head in heads)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        # A line that a full disk cut short must not spoil the next one.
        whole = size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
        os.write(descriptor, (text if whole else f"\n{text}").encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
