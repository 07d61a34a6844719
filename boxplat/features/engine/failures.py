"""What goes wrong while a view is loaded, told in four parts."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from boxplat.core.errors import BoxError
from boxplat.features.engine.plan import Plan

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def readable(plan: Plan) -> Iterator[None]:
    """Turn DuckDB's and Arrow's errors about a source into one that names it."""
    import duckdb
    import pyarrow as pa

    try:
        yield
    except (duckdb.Error, pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise BoxError(
            f"cannot read {plan.place}",
            why=str(error).strip() or type(error).__name__,
            fix="run the flow that writes it again, then: box features materialize",
        ) from error


@contextmanager
def roomy(folder: Path) -> Iterator[None]:
    """Turn a full disk into an error that names the folder."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise BoxError(
            f"there is no room left in {folder}",
            why=f"{error.strerror}; what the online store held before is unchanged",
            fix=f"free some space there (df -h {folder}), then: box features materialize",
        ) from error


def combined(errors: Sequence[BoxError]) -> BoxError:
    """One error for several: the first one, which names the others."""
    first, *others = errors
    if not others:
        return first
    told = "\n".join(f"{error.what}: {error.why}" for error in others)
    return BoxError(first.what, why=f"{first.why}\n{told}", fix=first.fix, log=first.log, code=first.code)


def changed(plan: Plan) -> BoxError:
    """The source was written while it was read: columns of different moments must not be mixed."""
    return BoxError(
        f"{plan.place} changed while it was read",
        why="another process writes it",
        fix="wait until the flow that writes it is done, then: box features materialize",
    )
