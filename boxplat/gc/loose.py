"""Files that nothing names: logs, caches, predictions beyond their retention, replaced files of features."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from boxplat.core.config import Config, EndpointConfig
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.replicas import Replica
from boxplat.core.sizes import on_disk
from boxplat.core.state import StateStore
from boxplat.features.offline.files import MERGED_PREFIX, PARTS, listing
from boxplat.gc.holding import Held
from boxplat.gc.model import CACHES, FEATURES, LOGS, PREDICTIONS, Item, Value
from boxplat.serving.log import retention
from boxplat.serving.log.asking import folder_of

TRASH = "trash"
# A build or a client that is at work has touched its cache lately.
_IDLE = 3600.0
_LOG = re.compile(r"(?P<name>.+)\.log(?:\.[0-9]+)?")
_KEPT_LOGS = frozenset({"supervisor", "tracking", "gateway", "features", "audit"})
_METRICS = "metrics-"


def items(state: StateStore, paths: Paths, config: Config, held: Held, now: float) -> Iterator[Item]:
    """All of them."""
    services = {service.name for service in state.services.all()}
    yield from _logs(paths, services, held)
    yield from _caches(paths, services, now)
    yield from _predictions(state, paths, config, now)
    yield from _replaced(paths)


def _of(kind: str, value: Value, path: Path, subject: str) -> Item:
    found = path.lstat()
    return Item(subject, "files", value, found.st_mtime, {kind: on_disk([path])}, data={"paths": [str(path)]})


def _logs(paths: Paths, services: set[str], held: Held) -> Iterator[Item]:
    """Old pieces of logs, and logs of processes that will not come back."""
    for path in sorted(paths.logs.iterdir()) if paths.logs.is_dir() else ():
        match = _LOG.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        current = path.name == f"{match['name']}.log"
        if not current or not _logged(match["name"], services, held):
            yield _of(LOGS, Value.LOG, path, f"log/{path.name}")


def _logged(name: str, services: set[str], held: Held) -> bool:
    """Whether something may write to a log again."""
    which = Replica.of(name)
    if which is not None and (which.endpoint, which.release) in held.releases:
        return True
    return name in services or name in _KEPT_LOGS


def _caches(paths: Paths, services: set[str], now: float) -> Iterator[Item]:
    places: Iterable[Path] = (paths.bentoml / "tmp", paths.metaflow / "client-cache", paths.state / TRASH)
    for place in places:
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            if path.lstat().st_mtime < now - _IDLE or place.name == TRASH:
                yield _of(CACHES, Value.NONE, path, f"cache/{place.name}/{path.name}")
    for path in sorted(paths.bentoml.glob(f"{_METRICS}*")):
        if path.name.removeprefix(_METRICS) not in services and path.lstat().st_mtime < now - _IDLE:
            yield _of(CACHES, Value.NONE, path, f"cache/{path.name}")


def _predictions(state: StateStore, paths: Paths, config: Config, now: float) -> Iterator[Item]:
    """Of endpoints that do not run: a worker looks after its own log."""
    root = folder_of(paths, "")
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        days, mib = _retention(state, config, folder.name)
        due = retention.due(folder, days, mib, now) if folder.is_dir() else []
        if due:
            data = {"endpoint": folder.name, "days": days, "mib": mib}
            yield Item(
                f"predictions/{folder.name}", "predictions", Value.NONE, 0.0, {PREDICTIONS: on_disk(due)}, data=data
            )


def _retention(state: StateStore, config: Config, endpoint: str) -> tuple[int, int]:
    """The longest that any of an endpoint's releases promises, and its settings of now."""
    now = config.endpoints.get(endpoint, EndpointConfig())
    pinned = [release.settings for release in state.releases.all(endpoint)]
    days = [now.log_days, *(int(one["log_days"]) for one in pinned if "log_days" in one)]
    sizes = [now.log_mib, *(int(one["log_mib"]) for one in pinned if "log_mib" in one)]
    # 0 is for ever.
    return (0 if 0 in days else max(days)), (0 if 0 in sizes else max(sizes))


def _replaced(paths: Paths) -> Iterator[Item]:
    """Files of sources whose rows a merged file contains, as a merge leaves them that was killed."""
    roots = {path.with_name(path.name.removesuffix(PARTS)) for path in paths.data.rglob(f"*{PARTS}")}
    roots |= {path.parent for path in paths.data.rglob(f"{MERGED_PREFIX}*.parquet")}
    for root in sorted(roots):
        try:
            gone = listing(str(root)).replaced
        except BoxError:
            continue
        for path in gone:
            yield _of(FEATURES, Value.NONE, Path(path), f"features/{Path(path).relative_to(paths.data)}")
