"""The reconciler: reads what is wanted, and takes each service and run one step further, ten times a second."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import replace

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError
from boxplat.core.feature_store import FEATURES
from boxplat.core.graph import needs, start_order
from boxplat.core.logs import rotate
from boxplat.core.model import Run, Service, State
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY, KIND, Replica
from boxplat.core.state import StateStore
from boxplat.core.state.services import Wanted
from boxplat.releases.comparison.starting import Watches
from boxplat.releases.gateway import Door, applied
from boxplat.runs.capacity import Machine
from boxplat.runs.ledger import Ledger
from boxplat.runs.overuse import Watch
from boxplat.supervisor.child import Child
from boxplat.supervisor.deliveries import Deliveries
from boxplat.supervisor.fleet import Fleet
from boxplat.supervisor.health import Probes
from boxplat.supervisor.launches import Launches
from boxplat.supervisor.leasing import Leasing
from boxplat.supervisor.leftovers import sweep
from boxplat.supervisor.sweeps import Sweeps
from boxplat.supervisor.timetable import Timetable

TICK = 0.1
_ROTATE_EVERY = 5.0
_PAUSE_AFTER_ERROR = 2.0
WANTED = "box.wanted"


class Loop:
    """One supervisor's life, while it holds the lock."""

    def __init__(self, paths: Paths, config: Config, state: StateStore) -> None:
        self._paths = paths
        self._config = config
        self._state = state
        self._probes = Probes()
        self._children: dict[str, Child] = {}
        ledger = Ledger(state.database, Machine(config.compute))
        self._leasing = Leasing(ledger, self._processes)
        self._overuse = Watch(state.database, paths, ledger, config.compute.overuse)
        self._launches = Launches(state, paths, self._environment, config.run, ledger)
        self._stop = threading.Event()
        self._fleet = Fleet(state, paths, config)
        self._deliveries = Deliveries(state, paths, self._environment)
        self._sweeps = Sweeps(state, paths, self._environment)
        self._watches = Watches(state, paths, config, self._environment)
        self._next_rotation = 0.0
        self._releases_again = 0.0
        self._timetable = Timetable(state, paths, config)
        self._timetable_again = 0.0
        self._seen: tuple[int, int] | None = None
        self._wanted: dict[str, Wanted] = {}
        self._order: list[str] = []
        self._doors: Mapping[str, Door] = {}
        self._active: list[Run] = []

    def run(self) -> None:
        """Until `box down` or a signal: reconcile. Ends with every process of the box gone."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        self._state.events.append("supervisor", "supervisor.started", {"pid": os.getpid()})
        self._take_over()
        while not self._stop.wait(TICK):
            try:
                self._tick(stopping=False)
            except Exception:
                # A full disk or a defect must not take the services down with it: say so, and try again.
                _tell()
                self._stop.wait(_PAUSE_AFTER_ERROR)
        self._wind_down()

    def _environment(self) -> dict[str, str]:
        tracking = self._children.get("tracking")
        url = f"http://127.0.0.1:{tracking.port}" if tracking and tracking.port else None
        environment = child_environment(self._paths, self._config, url)
        features = self._children.get(FEATURES)
        if features and features.port:
            environment["BOXPLAT_FEATURES_URL"] = f"http://127.0.0.1:{features.port}"
        return environment

    def _processes(self) -> list[tuple[str, int]]:
        """Name and pid of every service that has a process."""
        return [(name, child.process.pid) for name, child in self._children.items() if child.process is not None]

    # -- taking over ---------------------------------------------------------------------------------------------

    def _take_over(self) -> None:
        """Adopt the services and launchers that an earlier supervisor left, and end every other process of the box."""
        for wanted in self._state.services.wanted():
            child = self._child(wanted.service.name)
            if not child.adopt(wanted) and wanted.state is not State.STOPPED:
                # Without its port: the socket went with the supervisor that held it.
                gone = {"pid": None, "pid_started": None, "running_digest": None, "port": None, "grpc_port": None}
                self._state.services.moved(wanted.service.name, State.STOPPED, "", None, **gone)
        kept = {child.process.pid for child in self._children.values() if child.process} | self._launches.adopt()
        ended = sweep(self._paths, kept)
        if ended:
            self._state.events.append("supervisor", "supervisor.cleaned", {"pids": ended})

    def _child(self, name: str) -> Child:
        if name not in self._children:
            self._children[name] = Child(name, self._state, self._paths, self._probes, self._environment, self._leasing)
        return self._children[name]

    # -- each tick -----------------------------------------------------------------------------------------------

    def _tick(self, stopping: bool) -> bool:
        """One step for everything. Returns whether any process of the box still lives."""
        if not stopping:
            self._tend_releases()
            self._tend_timetable()
        wanted = dict(self._read())
        removed = self._children.keys() - wanted.keys()
        wanted |= {name: self._removed(name) for name in removed}
        order = [*self._order, *removed]
        values = self._values(wanted)
        for name in reversed(order) if stopping else order:
            row = wanted[name]
            if stopping:
                row = replace(row, desired=False)
            self._child(name).tick(row, self._healthy, values, not stopping or self._may_stop(name, wanted))
        for name in removed:
            if self._children[name].process is None:
                del self._children[name]
        busy = self._launches.tick(self._active, stopping)
        busy = self._watches.tick(stopping) or busy
        busy = self._sweeps.tick(stopping) or busy
        self._send_missed()
        self._rotate_logs()
        if not stopping:
            self._overuse.tick()
        return busy or any(child.process is not None for child in self._children.values())

    def _tend_releases(self) -> None:
        now = time.monotonic()
        if now < self._releases_again:
            return
        try:
            self._fleet.tick(self._children)
        except Exception:
            # What is declared already must be looked after all the same.
            _tell()
            self._releases_again = now + _PAUSE_AFTER_ERROR

    def _tend_timetable(self) -> None:
        now = time.monotonic()
        if now < self._timetable_again:
            return
        try:
            self._timetable.tick()
        except Exception:
            _tell()
            self._timetable_again = now + _PAUSE_AFTER_ERROR

    def _read(self) -> dict[str, Wanted]:
        """What is wanted; read again only when something was written."""
        version = self._state.database.version()
        if version != self._seen:
            if self._state.meta.get(WANTED) == "down":
                self._stop.set()
            self._wanted = {row.service.name: row for row in self._state.services.wanted()}
            self._doors = applied(self._state).endpoints
            declared = [row.service for row in self._wanted.values()]
            # What refers to an endpoint refers to its door in the gateway.
            doors = [Service(name, (), needs=(GATEWAY,)) for name in self._doors if GATEWAY in self._wanted]
            self._order = [name for name in _order([*declared, *doors]) if name in self._wanted]
            self._active = self._state.runs.active()
            self._seen = version
        return self._wanted

    def _removed(self, name: str) -> Wanted:
        """A declaration that is gone while its process may still be there."""
        process = self._children[name].process
        service = process.service if process else Service(name, ())
        return Wanted(service, "", False, 0, State.STOPPED, None, None, None, None, 0)

    def _values(self, wanted: dict[str, Wanted]) -> dict[str, str]:
        values = {
            "box.root": str(self._paths.root),
            "box.state": str(self._paths.state),
            "box.python": sys.executable,
        }
        for name in wanted:
            port = self._child(name).port
            if port:
                values |= {f"{name}.url": f"http://127.0.0.1:{port}", f"{name}.port": str(port)}
        for name, door in self._doors.items():
            values |= {f"{name}.url": door.url, f"{name}.port": door.url.rpartition(":")[2]}
        return values

    def _healthy(self, name: str) -> bool:
        if name in self._doors and name not in self._children:
            served = [
                replica.name for replica in map(Replica.of, self._children) if replica and replica.endpoint == name
            ]
            return self._healthy(GATEWAY) and any(map(self._healthy, served))
        child = self._children.get(name)
        return child is not None and child.state_now.ready

    def _may_stop(self, name: str, wanted: dict[str, Wanted]) -> bool:
        if wanted[name].service.kind == KIND and GATEWAY in wanted and self._child(GATEWAY).process is not None:
            # It has requests under way.
            return False
        return not any(
            name in needs(row.service) and self._child(other).process is not None for other, row in wanted.items()
        )

    def _send_missed(self) -> None:
        tracking = self._children["tracking"].state_now if "tracking" in self._children else State.STOPPED
        if self._deliveries.tick(tracking, self._launches.lost):
            self._launches.lost = False

    def _rotate_logs(self) -> None:
        now = time.monotonic()
        if now >= self._next_rotation:
            self._check_database()
            self._next_rotation = now + _ROTATE_EVERY
            for log in [*self._paths.logs.glob("*.log"), *self._paths.runs.glob("*/run.log")]:
                rotate(log)

    def _check_database(self) -> None:
        """A state file that was moved away or deleted: nobody can reach us any more, so end in good order."""
        if not self._state.database.in_place():
            print(f"{self._paths.database} is gone or another file now: this supervisor ends", flush=True)
            self._stop.set()

    # -- the end -------------------------------------------------------------------------------------------------

    def _wind_down(self) -> None:
        """Stop everything, dependents first, and whatever is left of the box at the end."""
        try:
            # A signal came without `box down`: who types `box up` now must wait for our end.
            self._state.meta.set(WANTED, "down")
            while self._tick(stopping=True):
                time.sleep(TICK / 2)
        except Exception:
            # A full disk must not keep the processes alive: the sweep below needs no state.
            _tell()
        for child in self._children.values():
            child.close()
        self._probes.close()
        sweep(self._paths, set())
        try:
            self._state.events.append("supervisor", "supervisor.stopped", {"pid": os.getpid()})
        except BoxError:
            _tell()


def _tell() -> None:
    """The defect at hand into our log, which may be on the full disk that is the cause."""
    with contextlib.suppress(OSError, ValueError):
        traceback.print_exc()


def _order(services: list[Service]) -> list[str]:
    try:
        return start_order(services)
    except BoxError:
        # A declaration that points nowhere waits for ever; the others must not.
        return sorted(service.name for service in services)
