"""Copy the newest feature rows from the offline to the online store."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.engine.failures import combined
from boxplat.features.repository import Told, explained, folder, opened

if TYPE_CHECKING:
    from feast import FeatureStore, FeatureView

TELL_AFTER_S = 2.0
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def materialize(
    state: StateStore, paths: Paths, config: Config, start: str | None, end: str | None, by: str, told: Told
) -> dict[str, int]:
    """Write the newest row of each entity within a time range to the online store.

    Each view is loaded on its own: one that cannot be loaded stays as it was and does not keep the others from it.

    Args:
        start: ISO time, UTC unless it says otherwise. None: each view goes on where it was left; one that was never
            materialized begins with its first row (Feast's own incremental form skips what is older than the TTL).
        end: ISO time; None: now, but for a store whose clock is the materialization's: it must be said.

    Returns:
        Rows written by feature view.

    Raises:
        BoxError: a time that is none, or a start after the end (exit code 2); nothing applied yet or no repository
            (9); views that could not be loaded (1): the first one's error, which names the others.
    """
    began, repo = time.monotonic(), folder(paths, config)
    until = _time("end", end) or datetime.now(UTC)
    since = _time("start", start)
    if since is not None and since >= until:
        raise _usage(f"start {since.isoformat()} is not before end {until.isoformat()}")
    rows: dict[str, int] = {}
    failed: dict[str, BoxError] = {}
    with opened(paths, config, told) as store:
        if end is None:
            _refuse_now(store)
        for view in _views(store):
            told(f"materializing {view.name}")
            fix = "run the flow that writes its source, then: box features materialize"
            try:
                with explained(f"cannot materialize {view.name}", repo, fix=fix):
                    rows[view.name] = _load(store, view, since, until, told)
            except BoxError as error:
                failed[view.name] = error
                told(f"{view.name} could not be materialized")
                continue
            told(f"materialized {view.name}: {rows[view.name]} rows")
    facts = {
        "rows": rows,
        "failed": sorted(failed),
        "start": since.isoformat() if since else None,
        "end": until.isoformat(),
        "seconds": round(time.monotonic() - began, 3),
        "by": by,
    }
    state.events.append("features", "features.materialized", facts)
    if failed:
        raise combined(list(failed.values()))
    return rows


def _refuse_now(store: FeatureStore) -> None:
    """A replay of old data, brought to today, would let every value expire."""
    if getattr(store.config.online_store, "clock", "wall") == "materialization":
        ends = [view.most_recent_end_time for view in store.list_feature_views() if view.most_recent_end_time]
        last = max(ends).isoformat() if ends else "2013-12-30T22:00:00Z"
        raise BoxError(
            "the moment to bring online is not said",
            why="with `clock: materialization` life times are measured at it, and the data are not live",
            fix=f"box features materialize --end {last}",
            code=ExitCode.USAGE,
        )


def _load(store: FeatureStore, view: FeatureView, since: datetime | None, until: datetime, told: Told) -> int:
    """Load one view; how many rows were written."""
    engine: Any = getattr(store.provider, "batch_engine", None)
    own = hasattr(engine, "watermark")
    last = engine.watermark(view) if own else view.most_recent_end_time
    if since is None and last is not None and last >= until:
        return 0
    if own:
        engine.watch = partial(_watched, told, view.name)
        engine.loaded.pop(view.name, None)
    with _counted(store) as counts:
        store.materialize(since or last or BEGINNING, until, [view.name])
    return int(engine.loaded.get(view.name, sum(counts)) if own else sum(counts))


def _watched(told: Told, view: str, rows: int) -> Callable[[int], None]:
    """Tell how far a long reading is, not oftener than every few seconds."""
    done, last = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, last
        done += more
        if time.monotonic() - last >= TELL_AFTER_S and done < rows:
            last = time.monotonic()
            told(f"materializing {view}: {done:,} of {rows:,} rows read")

    return advance


def _views(store: FeatureStore) -> list[FeatureView]:
    found = sorted((view for view in store.list_feature_views() if view.online), key=lambda view: view.name)
    if not found:
        raise BoxError(
            "there is no feature view to materialize",
            why=f"the registry of project {store.project} holds none that is served online",
            fix="box features apply",
            code=ExitCode.NOT_FOUND,
        )
    return found


@contextmanager
def _counted(store: FeatureStore) -> Iterator[list[int]]:
    """Sizes of the batches that are written to the online store; Feast reports none."""
    online: Any = getattr(store.provider, "online_store", None)
    counts: list[int] = []
    write = online.online_write_batch

    def counting(config: Any, table: Any, data: Any, progress: Any) -> None:
        write(config=config, table=table, data=data, progress=progress)
        counts.append(len(data))

    online.online_write_batch = counting
    try:
        yield counts
    finally:
        del online.online_write_batch


def _time(name: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise _usage(f"{name} {text!r} is no ISO time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _usage(what: str) -> BoxError:
    fix = "box features materialize --start 2013-01-01 --end 2013-07-01T12:00:00Z"
    return BoxError(what, why="times are ISO 8601, in UTC unless they say otherwise", fix=fix, code=ExitCode.USAGE)
