"""Turn complete spools into Parquet and delete what is too old: `python -m boxplat.serving.log.compact FOLDER`.

A process of its own with the lowest priority, because compression must not take the server's time. It may be killed at
any moment: a Parquet file gets its name when it is whole, and its spool goes after that. While both are there the
Parquet file counts for whoever finishes the work, and the spool for whoever has read it.
"""

from __future__ import annotations

import argparse
import fcntl
import importlib.abc
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from boxplat.serving.log import records, retention
from boxplat.serving.log.spool import SUFFIX, claim

PARQUET = ".parquet"
_BAD = ".bad"
_TEMPORARY = ".part"
_LOCK = ".compact.lock"
# Of records in memory before they become a row group.
_GROUP_BYTES = 16 * 2**20
# Texts of which a file has only a few.
_FEW = ["api", "endpoint", "model_version", "feature_service", "problem"]


def compact(folder: Path, days: int = 0, mib: int = 0) -> int:
    """Make Parquet of every spool that nobody writes to, within the limits of the log.

    Returns:
        The number of new files; 0 also where another process is at it.

    Raises:
        OSError: no space, or no permission; what was there is still there.
    """
    with _only_one(folder) as mine:
        if not mine:
            return 0
        for left in folder.glob(f".*{_TEMPORARY}"):
            left.unlink(missing_ok=True)
        retention.enforce(folder, days, mib)
        made = sum([_one(path) for path in sorted(folder.glob(f"*{SUFFIX}"))])
        retention.enforce(folder, days, mib)
        return made


@contextmanager
def _only_one(folder: Path) -> Iterator[bool]:
    file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(file)


def _one(spool: Path) -> bool:
    """Make Parquet of a spool, if it is complete and holds anything."""
    file = claim(spool)
    if file is None:
        return False
    try:
        target = spool.with_suffix(PARQUET)
        made = not target.exists() and _written(file, target)
        spool.unlink(missing_ok=True)
        return made
    except OSError:
        raise
    except Exception:
        # Kept for whoever wants to look into it, and out of the way of the others.
        spool.rename(spool.with_suffix(_BAD))
        with suppress(OSError):
            traceback.print_exc()
        return False
    finally:
        os.close(file)


def _written(file: int, target: Path) -> bool:
    temporary = target.with_name(f".{target.stem}{_TEMPORARY}")
    try:
        with os.fdopen(os.dup(file), "rb") as source:
            groups = _groups(records.tables(source))
            first = next(groups, None)
            if first is None:
                return False
            with _private(temporary) as sink, _writer(sink) as writer:
                writer.write_table(first)
                for group in groups:
                    writer.write_table(group)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    seen = os.fstat(file)
    # Its age is that of its records.
    os.utime(temporary, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    _synced(temporary)
    temporary.rename(target)
    _synced(target.parent)
    return True


def _private(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _writer(sink: BinaryIO) -> pq.ParquetWriter:
    # Fast rather than small: one core compresses several hundred MB/s at this level.
    return pq.ParquetWriter(sink, records.SCHEMA, compression="zstd", compression_level=1, use_dictionary=_FEW)


def _groups(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    size = 0
    for table in tables:
        waiting.append(table)
        size += table.nbytes
        if size >= _GROUP_BYTES:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting, size = [], 0
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _synced(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class _WithoutPandas(importlib.abc.MetaPathFinder):
    """Arrow imports pandas at its first array, which takes longer than all the rest, and has no use for it here."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def main(argv: Sequence[str] | None = None) -> None:
    """Compact until nothing is left to do."""
    parser = argparse.ArgumentParser(prog="python -m boxplat.serving.log.compact", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--days", type=int, default=0)
    parser.add_argument("--mib", type=int, default=0)
    args = parser.parse_args(argv)
    os.nice(19)
    sys.meta_path.insert(0, _WithoutPandas())
    pa.set_cpu_count(1)
    try:
        while compact(args.folder, args.days, args.mib):
            pass
    except OSError as error:
        sys.exit(f"log.compaction {args.folder}: {error.strerror or error}")


if __name__ == "__main__":
    main()
