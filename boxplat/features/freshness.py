"""How old the online features are: per view the newest event, its age, and whether that is more than the life time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features import known
from boxplat.features.catalog import is_ours
from boxplat.features.repository import SETTINGS, folder

if TYPE_CHECKING:
    from boxplat.features.catalog import Catalog
    from boxplat.features.rows import Store

_SECOND = 1_000_000


def freshness(paths: Paths, config: Config, now: str | None = None) -> list[dict[str, Any]]:
    """The freshness of every feature view that is served online.

    Args:
        now: ISO time that ages are measured at, UTC unless it says otherwise. None: the clock that the online store
            measures life times by, which is the wall clock, or with `clock: materialization` in `feature_store.yaml`
            the end of each view's last materialization.

    Returns:
        Per view, by name: `view`, `newest_event` (ISO time of the newest stored row, None without rows), `ttl_seconds`
        (None: for ever), `lag_seconds` (age of that row, None without rows), `stale` (the lag is above the life time,
        so every stored value is expired; never true without a life time; true when a view with one has no rows),
        `rows`, `materialized_until` and `materialized_at` (ISO times, or None), `next_materialization` (None: no
        schedule).

    Raises:
        BoxError: no repository, or nothing applied (exit code 9); a time that is none, or other online stores than
            boxplat's (2).
    """
    from boxplat.features.rows import Store

    now_us = _microseconds(now) if now is not None else None
    _refuse_foreign(paths, config)
    catalog = known.catalog(paths, config)
    return [shown(view) for view in of_catalog(catalog, Store(catalog.online), now_us)]


def of_catalog(catalog: Catalog, store: Store, now_us: int | None = None) -> list[dict[str, Any]]:
    """`freshness` in numbers: times are seconds since the epoch."""
    found = []
    for name, view in sorted(catalog.views.items()):
        try:
            status = store.status(view.name)
        except BoxError as error:
            if error.code is not ExitCode.NOT_FOUND:
                raise
            continue
        moment = now_us if now_us is not None else _clock(catalog.clock, status.watermark_us)
        newest, ttl = status.newest_event_us, view.ttl_us or None
        lag = moment - newest if newest is not None else None
        found.append(
            {
                "view": name,
                "newest_event_seconds": _seconds(newest),
                "ttl_seconds": _seconds(ttl),
                "lag_seconds": _seconds(lag),
                "stale": ttl is not None and (lag is None or lag > ttl),
                "rows": status.rows,
                "watermark_seconds": _seconds(status.watermark_us),
                "loaded_seconds": _seconds(status.loaded_at_us),
                "since_materialized_seconds": _seconds(
                    None if status.watermark_us is None else moment - status.watermark_us
                ),
            }
        )
    return found


def _clock(clock: str, watermark_us: int | None) -> int:
    if clock == "materialization" and watermark_us is not None:
        return watermark_us
    return time.time_ns() // 1000


def shown(view: dict[str, Any]) -> dict[str, Any]:
    """One of `of_catalog` as `freshness` gives it."""
    return {
        "view": view["view"],
        "newest_event": _iso(view["newest_event_seconds"]),
        "ttl_seconds": view["ttl_seconds"],
        "lag_seconds": view["lag_seconds"],
        "stale": view["stale"],
        "rows": view["rows"],
        "materialized_until": _iso(view["watermark_seconds"]),
        "materialized_at": _iso(view["loaded_seconds"]),
        "next_materialization": None,
    }


def _seconds(us: int | None) -> float | None:
    return None if us is None else us / _SECOND


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def _microseconds(text: str) -> int:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        fix = "box features freshness --now 2013-12-31T00:00:00Z"
        raise BoxError(f"now {text!r} is no ISO time", why=str(error), fix=fix, code=ExitCode.USAGE) from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * _SECOND)


def _refuse_foreign(paths: Paths, config: Config) -> None:
    settings = known.settings(paths, config)
    if settings is not None and not is_ours(settings.store):
        raise BoxError(
            f"the freshness of {settings.store} is not known",
            why="it does not keep the time of its newest row",
            fix=f"in {folder(paths, config) / SETTINGS}: online_store: {{type: boxplat.features.BoxOnlineStore}}",
            code=ExitCode.USAGE,
        )
