"""Files put into the bucket, and compared with what is there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.migrate.bucket import Bucket, Stored, file_etag
from boxplat.export.migrate.journal import Journal
from boxplat.export.migrate.model import Tree
from boxplat.export.migrate.standing import Local, Standing, standing
from boxplat.export.migrate.trees import Entry, Files, under

Told = Callable[[str], None]
_AT_ONCE = 8
_OFTEN = 500


def send(bucket: Bucket, files: Files, journal: Journal, told: Told) -> Tree:
    """Put into the bucket what is not there with the same content, then compare a new listing with the files.

    Raises:
        BoxError: an object is of somebody else, or was changed on both sides, or differs in the end (exit code 10).
    """
    prefix = f"{bucket.prefix}/{files.prefix}/".lstrip("/")
    there, known = bucket.listing(prefix), journal.objects()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        local = [one for one in pool.map(_read, under(bucket.prefix, files)) if one is not None]
        found = list(pool.map(lambda one: (one, standing(bucket, there.get(one.entry.key), one, known)), local))
        _refuse([one for one, how in found if how is Standing.STRANGE])
        lacking = [one for one, how in found if how is Standing.LACKING]
        foreign = [one for one, how in found if how is Standing.SAME and one.entry.key not in known]
        unmarked = [one for one in pool.map(lambda one: _adopted(bucket, there, one, journal), foreign) if one]
        told(f"{files.name}: {len(lacking) + len(unmarked)} of {len(local)} files to send")
        for number, _ in enumerate(pool.map(lambda one: _put(bucket, one, journal), [*lacking, *unmarked]), 1):
            if number % _OFTEN == 0:
                told(f"{files.name}: {number} files sent")
    return _compared(bucket, files, local, len(lacking) + len(unmarked), prefix, journal)


def _read(entry: Entry) -> Local | None:
    try:
        return Local(entry, file_etag(entry.path), entry.path.stat().st_size)
    except FileNotFoundError:
        return None  # gone since it was listed: there is nothing to move
    except OSError as error:
        raise _unreadable(entry.path, error) from error


def _adopted(bucket: Bucket, there: Mapping[str, Stored], local: Local, journal: Journal) -> Local | None:
    """An object that somebody else put there, taken as it is; returns the file if Metaflow could not read the object.

    It needs attributes, which differ only with the bytes.
    """
    stored = there[local.entry.key]
    if stored.etag == local.etag and bucket.attributes(local.entry.key) != local.entry.attributes:
        return local
    journal.wrote(local.entry.key, local.etag, stored.etag)
    return None


def _put(bucket: Bucket, local: Local, journal: Journal) -> None:
    key = local.entry.key
    journal.wrote(key, local.etag)
    try:
        journal.wrote(key, *bucket.put(key, local.entry.path, local.entry.attributes))
    except OSError as error:
        raise _unreadable(local.entry.path, error) from error


def _unreadable(path: Path, error: OSError) -> BoxError:
    return BoxError(
        f"cannot read {path}",
        why=error.strerror or str(error),
        fix="box doctor   (then the same command again: it goes on where it stopped)",
        code=ExitCode.PRECONDITION,
    )


def _compared(bucket: Bucket, files: Files, local: list[Local], sent: int, prefix: str, journal: Journal) -> Tree:
    there, known = bucket.listing(prefix), journal.objects()
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(lambda one: (one, standing(bucket, there.get(one.entry.key), one, known)), local))
    ours = [one for one, how in found if how is not Standing.THEIRS]
    differ = [one.entry.key for one, how in found if how not in (Standing.SAME, Standing.THEIRS)]
    if differ:
        raise BoxError(
            f"{len(differ)} objects in {bucket.url} are not the files of {files.name}",
            why="\n".join(differ[:8]) + ("\n…" if len(differ) > 8 else ""),
            fix="stop whoever writes to these files or objects, then run the same command again",
            code=ExitCode.CHECK_FAILED,
        )
    checksum = hashlib.sha256()
    for one in sorted(ours, key=lambda one: one.entry.key):
        checksum.update(f"{one.entry.key}\0{one.size}\0{one.etag}\0".encode())
    size = sum(one.size for one in ours)
    return Tree(files.name, len(ours), size, sent, checksum.hexdigest(), own=len(local) - len(ours))


def _refuse(strange: Iterable[Local]) -> None:
    keys = [one.entry.key for one in strange]
    if keys:
        raise BoxError(
            f"{len(keys)} objects in the bucket are neither from this project nor equal to its files",
            why="\n".join(keys[:8]) + ("\n…" if len(keys) > 8 else ""),
            fix="keep them elsewhere, or give another prefix: --storage s3://BUCKET/PREFIX",
            code=ExitCode.CHECK_FAILED,
        )
