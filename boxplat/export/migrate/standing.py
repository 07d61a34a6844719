"""How an object in the bucket stands to a file here, by all that was ever written from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from boxplat.export.migrate.bucket import Bucket, Stored
from boxplat.export.migrate.trees import Entry

# By key, the ETags that its object had when it was written from here, with the ETag of the file's content.
Known = Mapping[str, Mapping[str, str]]


class Standing(Enum):
    """`SAME` content; `LACKING`, or an earlier content of the file; `THEIRS`: changed there, not here; `STRANGE`: both
    changed, or it was never from here."""

    SAME = auto()
    LACKING = auto()
    THEIRS = auto()
    STRANGE = auto()


@dataclass(frozen=True, slots=True)
class Local:
    """A file as it is here: the ETag of its content."""

    entry: Entry
    etag: str
    size: int


def standing(bucket: Bucket, stored: Stored | None, local: Local, known: Known) -> Standing:
    """Compare by the ETag, and by what the server answered when it got the file: one that encrypts makes other ETags.

    An object that somebody else put there is read. Metaflow names artifacts by their content, and two of the same name
    are the same whatever their bytes: the compressed form has the time in it.
    """
    if stored is None:
        return Standing.LACKING
    written = known.get(local.entry.key, {})
    if local.etag in (stored.etag, written.get(stored.etag)):
        return Standing.SAME
    if stored.etag in written:
        return Standing.LACKING
    if stored.size == local.size and bucket.etag(local.entry.key) == local.etag:
        return Standing.SAME
    if local.entry.sha1 and local.entry.sha1 in bucket.sha1(local.entry.key):
        return Standing.SAME
    return Standing.THEIRS if local.etag in written.values() else Standing.STRANGE
