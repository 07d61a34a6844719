"""What is served: the newest catalog of the repository, its rows, and the plans made from it. Changes are noticed."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from boxplat.features import catalog as catalogs
from boxplat.features.catalog import Catalog
from boxplat.features.rows import Store
from boxplat.features.server import refusal
from boxplat.features.server.plans import FOR_FEAST, Prepared, list_plan, service_plan
from boxplat.features.server.refusal import Refused

# More kinds of requests than this at once are no kinds: somebody makes feature lists by the request.
_MOST_PLANS = 1024
_LOOKS, _LOOK_SECONDS = 8, 0.25
_REST_SECONDS = 0.005
_NOTHING = "Nothing has been applied yet: box features apply"
_log = logging.getLogger("uvicorn.error")
_MAKE = (
    "import sys; from feast import FeatureStore; from boxplat.features import catalog;"
    "catalog.write(FeatureStore(repo_path=sys.argv[1]))"
)


class Served:
    """One state of the repository."""

    def __init__(self, catalog: Catalog, store: Store) -> None:
        self.catalog = catalog
        self.store = store
        self._plans: dict[tuple[str | tuple[str, ...], bool], Prepared] = {}

    def plan(self, service: str | None, features: Sequence[str], full: bool) -> Prepared:
        """The plan of a request, made once.

        Raises:
            Refused: it asks for what there is not.
        """
        key = (service or tuple(features), full)
        found = self._plans.get(key)
        if found is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            found = service_plan(self.catalog, service, full) if service else list_plan(self.catalog, features, full)
            self._plans[key] = found
        return found


class Project:
    """A feature repository; `served` is None before anything has been applied.

    The registry file's time is looked at every few milliseconds, and whenever something is asked for that is not there.
    When it has changed, the catalog is read anew in the background, and requests are answered from the one before until
    then.
    """

    def __init__(self, repo: Path) -> None:
        self.repo = repo
        self.served: Served | None = None
        self._settings = str(repo / "feature_store.yaml")
        self._registry: Path | None = None
        self._seen: tuple[tuple[int, int], ...] | None = None
        self._look_again = 0.0
        self._reading: asyncio.Task[None] | None = None
        if not self.read():
            # The first request looks again, and has the catalog made if need be.
            self._seen = None

    def read(self) -> bool:
        """Take the newest catalog. False: there is none that is of the registry as it is now."""
        settings = catalogs.settings(self.repo)
        self._registry = settings.registry if settings else None
        self._seen = self._stamp()
        found = catalogs.load(self.repo)
        if found is not None and (self.served is None or self.served.catalog != found):
            same = self.served is not None and self.served.catalog.online == found.online
            self.served = Served(found, self.served.store if self.served and same else Store(found.online))
        return found is not None

    async def plan(self, service: str | None, features: Sequence[str], full: bool) -> tuple[Served | None, Prepared]:
        """What to read, and from where. What is not found is looked for again in a registry that has just changed.

        Raises:
            Refused: there is no such thing.
        """
        served = self.served
        try:
            known = self.known(service, features, full)
        except Refused:
            if served is None:
                raise
            # The reading that is under way may have begun before the change that is asked for.
            for _ in range(2):
                if (changed := self._changed()) is not None:
                    await changed
            return self.served, (self.served or served).plan(service, features, full)
        if known is not None:
            return known
        changed = self._changed()
        if changed is not None:
            await changed
        if self.served is not None:
            return self.served, self.served.plan(service, features, full)
        if self._registry is None and self._is_ours():
            return None, FOR_FEAST
        raise Refused(refusal.UNAVAILABLE, _NOTHING)

    def known(self, service: str | None, features: Sequence[str], full: bool) -> tuple[Served, Prepared] | None:
        """`plan` by what was read last, None before anything has been applied.

        Raises:
            Refused: there is no such thing in it.
        """
        served, now = self.served, time.monotonic()
        if served is None:
            return None
        if now > self._look_again:
            self._look_again = now + _REST_SECONDS
            self._changed()
        return served, served.plan(service, features, full)

    async def newest(self) -> Served:
        """The newest state.

        Raises:
            Refused: nothing has been applied yet.
        """
        changed = self._changed()
        if changed is not None:
            await changed
        if self.served is None:
            raise Refused(refusal.UNAVAILABLE, _NOTHING)
        return self.served

    def _is_ours(self) -> bool:
        settings = catalogs.settings(self.repo)
        return settings is not None and catalogs.is_ours(settings.store)

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        files = [self._settings, str(self._registry)] if self._registry else [self._settings]
        try:
            return tuple((found.st_mtime_ns, found.st_size) for found in [os.stat(file) for file in files])
        except OSError:
            return ()

    def _changed(self) -> asyncio.Task[None] | None:
        """The reading that is under way, begun now if the registry has changed; None: all is as it was."""
        if self._reading is not None and not self._reading.done():
            return self._reading
        if self._stamp() == self._seen:
            return None
        self._reading = asyncio.create_task(self._read_changed())
        return self._reading

    async def _read_changed(self) -> None:
        # Who changed the registry writes the catalog a moment later.
        for _ in range(_LOOKS):
            if await asyncio.to_thread(self.read):
                return
            await asyncio.sleep(_LOOK_SECONDS)
        if self._registry is None or not self._registry.exists():
            return
        _log.warning("the registry was changed by a program that made no catalog: Feast makes one now")
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MAKE, str(self.repo), stdin=asyncio.subprocess.DEVNULL
        )
        await made.wait()
        await asyncio.to_thread(self.read)
