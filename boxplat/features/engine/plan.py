"""What one view's load reads and writes, in plain values."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace

from boxplat.core.errors import BoxError
from boxplat.features.offline.source import Source
from boxplat.features.schema import View


@dataclass(frozen=True)
class Options:
    """How much a load may use.

    Attributes:
        memory_limit: of DuckDB, in its spelling; what is written is held outside of it.
        threads: of DuckDB; None: one per core.
        temp_directory: where DuckDB spills to; None: its default.
        settings: further settings of DuckDB by name.
        partition_bytes: the most that is worked on at once, as uncompressed columns.
    """

    memory_limit: str = "256MB"
    threads: int | None = None
    temp_directory: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    partition_bytes: int = 128 << 20


@dataclass(frozen=True)
class Plan:
    """One view, its source and the range of event times to load.

    Attributes:
        view: as the store keeps it.
        source: its files; of two rows that tie, the later in their order is newer.
        keys: source columns of the view's keys, in their order.
        features: source columns of the view's fields, in their order.
        timestamp: source column of event times.
        created: source column of created times, or None.
        start_us: first event time, microseconds since the epoch.
        end_us: last event time, included.
    """

    view: View
    source: Source
    keys: tuple[str, ...]
    features: tuple[str, ...]
    timestamp: str
    created: str | None
    start_us: int
    end_us: int

    def identity(self, whole: bool) -> str:
        """A name for exactly this work: a half-finished load of another name must not be continued.

        Args:
            whole: the range holds every row of the source; it may then end at another time when it is continued.
        """
        # What lies on another machine has no stamp that could be compared.
        stamp = "" if self.source.listing.stamps else secrets.token_hex()
        work = asdict(replace(self, start_us=0, end_us=0) if whole else self)
        text = json.dumps([work, stamp], default=str, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def place(self) -> str:
        """The source, for messages."""
        files = self.source.listing.files
        return files[0] if len(files) == 1 else f"{len(files)} files such as {files[0]}"


@contextmanager
def named(view: str) -> Iterator[None]:
    """Give an error about a source or a store the name of the view that was to be loaded."""
    what = f"cannot materialize {view}"
    try:
        yield
    except BoxError as error:
        if error.what == what:
            raise
        raise BoxError(what, why=f"{error.what}: {error.why}", fix=error.fix, log=error.log, code=error.code) from error
