"""Entries of the record as text, each bound to the one before by its hash; and what is wrong with a chain of them.

An entry is canonical JSON: keys sorted, no spaces, ASCII only, no number that JSON has no word for. Its hash is the
SHA-256 of that text, and the text holds the hash of the entry before: whoever changes one entry must change all later
ones too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

_KEYS = frozenset({"at", "by", "data", "kind", "number", "previous", "subject"})
_WORDS = {"witness": "not fully witnessed"}
_NO_NUMBERS = {math.inf: "Infinity", -math.inf: "-Infinity"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the record.

    `at` is when it was appended (seconds since the epoch), `by` who did what it tells, `previous` the hash of the entry
    before (empty for the first), `hash` its own; both are SHA-256 in hexadecimal.
    """

    number: int
    at: float
    subject: str
    kind: str
    by: str
    data: Mapping[str, Any]
    previous: str
    hash: str


@dataclass(frozen=True, slots=True)
class Row:
    """An entry as it is stored: every column, as bytes where somebody may have written anything."""

    number: int
    subject: bytes
    kind: bytes
    entry: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry's number and hash, kept elsewhere."""

    number: int
    hash: str


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with an entry (`number`), or with the record as a whole (None).

    `what` is changed, missing, moved, added, contradicted (the state is not what the entry says), replaced, unlocked,
    or witness.
    """

    number: int | None
    what: str
    detail: str

    def __str__(self) -> str:
        name = "the record" if self.number is None else f"entry {self.number}"
        return f"{name} is {_WORDS.get(self.what, self.what)}: {self.detail}"


def text_of(number: int, at: float, subject: str, kind: str, by: str, data: Mapping[str, Any], previous: str) -> str:
    """The canonical text of an entry."""
    document = {
        "at": at,
        "by": by,
        "data": plain(data),
        "kind": kind,
        "number": number,
        "previous": previous,
        "subject": subject,
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_of(text: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(text).hexdigest()


def parsed(text: str | bytes, digest: str) -> Entry:
    """The entry of a stored text.

    Raises:
        ValueError: it is no entry.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or document.keys() != _KEYS or type(document["number"]) is not int:
        raise ValueError("no entry of the record")
    return Entry(hash=digest, **document)


def plain(value: Any) -> Any:
    """As JSON has it: texts for keys and for what is no number; a record must not be lost for one odd value."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)]
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else _NO_NUMBERS.get(value, "NaN")
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if getattr(value, "ndim", None) == 0:
        return plain(value.item())
    return str(value)


def faults(rows: Sequence[Row], head: Head | None, witnessed: Mapping[int, str]) -> list[Fault]:
    """Everything that is wrong with a chain, by number.

    Each entry is held against its own hash, against the hash that the entry after it (the head, for the last) has of
    it, and against what the witness has. An entry that is wrong itself vouches for no other.

    Args:
        rows: in the order of their numbers.
        head: what is kept beside the table.
        witnessed: hash by number, as the file outside the database has them.
    """
    last = max(head.number if head else 0, *witnessed, 0)
    found = [
        Fault(begin, "missing", "it is not there any more" if begin == end else f"all to {end} are not there any more")
        for begin, end in gaps([row.number for row in rows], last)
    ]
    if rows and head is None:
        found.append(Fault(None, "changed", "its head beside the table is gone or is none"))
    after: Entry | None = None
    for row in reversed(rows):
        entry, fault = _own(row)
        fault = fault or _vouched(row, after, head, witnessed)
        if fault:
            found.append(fault)
        after = None if fault else entry
    return sorted(found, key=lambda fault: fault.number or 0)


def gaps(numbers: Iterable[int], last: int) -> list[tuple[int, int]]:
    """First and last of each run of numbers from 1 to the highest (`last` at least) that is not there."""
    found, expected = [], 1
    for number in (*sorted(number for number in set(numbers) if number > 0), None):
        end = last + 1 if number is None else number
        if expected < end:
            found.append((expected, end - 1))
        expected = end + 1
    return found


def _own(row: Row) -> tuple[Entry | None, Fault | None]:
    """Whether the row is an entry that has its own hash, at its own place."""
    digest = hash_of(row.entry)
    if digest.encode() != row.hash:
        return None, Fault(row.number, "changed", f"its text has the hash {digest[:12]}…, not {_shown(row.hash)}")
    try:
        entry = parsed(row.entry, digest)
    except (ValueError, RecursionError):
        return None, Fault(row.number, "changed", "its text is no entry")
    if entry.number != row.number:
        return None, Fault(row.number, "moved", f"entry {entry.number} was put in its place")
    if (entry.subject.encode(), entry.kind.encode()) != (row.subject, row.kind):
        return None, Fault(row.number, "changed", "it is filed under another subject or kind than it says")
    return entry, None


def _vouched(row: Row, after: Entry | None, head: Head | None, witnessed: Mapping[int, str]) -> Fault | None:
    """Whether everybody who knows the entry's hash knows this one."""
    own = row.hash.decode()
    if row.number < 1 or (head is not None and row.number > head.number):
        return Fault(row.number, "added", "the head does not know of it")
    seen = witnessed.get(row.number)
    if after is not None and after.number == row.number + 1 and after.previous != own:
        return _anew(row, f"entry {after.number} was appended to {after.previous[:12]}…")
    if head is not None and head.number == row.number and head.hash != own:
        if seen == own:
            return Fault(None, "changed", f"its head beside the table is not that of entry {row.number}")
        return _anew(row, f"the head is {head.hash[:12]}…")
    if seen is not None and seen != own:
        return _anew(row, f"the file outside the database has {seen[:12]}…")
    return None


def _anew(row: Row, known: str) -> Fault:
    return Fault(row.number, "changed", f"it was written anew: its hash is {_shown(row.hash)}, {known}")


def _shown(digest: bytes) -> str:
    return digest[:12].decode(errors="replace") + "…"
