"""What a view holds, in figures."""

from __future__ import annotations

from dataclasses import dataclass

from boxplat.features.rows.segment import find
from boxplat.features.rows.snapshot import Snapshot


@dataclass(frozen=True)
class ViewStatus:
    """A view of the online store.

    Attributes:
        rows: entities that have a row, expired ones too.
        newest_event_us: the newest event time, in microseconds since the epoch; None without rows.
        watermark_us: up to which event time the last bulk load went; None: never loaded.
        loaded_at_us: when that load was committed.
        pushed_rows: entities that were pushed since the last load.
        bytes: size of its files.
        ttl_us: the time to live of its rows; None: for ever.
    """

    rows: int
    newest_event_us: int | None
    watermark_us: int | None
    loaded_at_us: int | None
    pushed_rows: int
    bytes: int
    ttl_us: int | None


def status_of(snapshot: Snapshot) -> ViewStatus:
    """The figures of one state of a view."""
    pushed = snapshot.overlay.block()
    keys = pushed.as_keys()
    known = sum(int((find(segment, keys) >= 0).sum()) for segment in snapshot.segments)
    newest = [segment.newest_us for segment in snapshot.segments if segment.newest_us is not None]
    if len(pushed):
        newest.append(int(pushed.records["event"].max()))
    return ViewStatus(
        rows=sum(map(len, snapshot.segments)) + len(pushed) - known,
        newest_event_us=max(newest, default=None),
        watermark_us=snapshot.manifest.watermark_us,
        loaded_at_us=snapshot.manifest.loaded_at_us,
        pushed_rows=len(pushed),
        bytes=sum(segment.size for segment in snapshot.segments) + sum(log.end for log in snapshot.logs),
        ttl_us=snapshot.view.ttl_us,
    )
