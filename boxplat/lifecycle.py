"""Bringing a box up and down, and waiting for it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path

from boxplat.adapters import tracking
from boxplat.core import processes
from boxplat.core.config import Config
from boxplat.core.environment import DROPPED
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.graph import needs
from boxplat.core.logs import last_words
from boxplat.core.model import ServiceStatus, State, Supervisor
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY, Replica
from boxplat.core.state import StateStore
from boxplat.declarations import services
from boxplat.releases import gateway
from boxplat.releases.wanted import declaration, wanted
from boxplat.supervisor.leftovers import sweep
from boxplat.supervisor.lock import Lock, holder
from boxplat.supervisor.loop import WANTED, Loop

_POLL = 0.05


def declare(paths: Paths, config: Config, state: StateStore, only: set[str], by: str) -> None:
    """Make the declared services in the state equal to the settings; endpoints come from releases and stay.

    Args:
        only: the services that somebody asked for; empty: all. The others stay as they are.
    """
    declared = services(config, paths)
    names = {service.name for service in declared}
    known = {row.service.name: row for row in state.services.wanted()}
    for service in declared:
        desired = not only or service.name in only or (service.name in known and known[service.name].desired)
        state.services.declare(service, desired, by)
    for name, row in known.items():
        if row.service.kind == "service" and name not in names:
            state.services.remove(name, by)
    if GATEWAY in known:
        state.services.declare(gateway.service(config), known[GATEWAY].desired, by)
    for name in state.endpoints.settings():
        if name in config.endpoints:
            state.endpoints.settle(name, asdict(config.endpoints[name]))


def declare_releases(paths: Paths, config: Config, state: StateStore, by: str) -> None:
    """Make the declarations of the releases that serve what this version of boxplat makes of them.

    Only while nothing runs: it would replace processes.
    """
    known = {row.service.name: row.desired for row in state.services.wanted()}
    for name, which in wanted(state, moved=True).items():
        try:
            service = declaration(state, paths, config, which)
        except BoxError as error:
            state.events.append(which.endpoint, "release.undeclared", {"number": which.release, "why": str(error)})
        else:
            state.services.declare(service, known.get(name, True), by)


def with_needs(state: StateStore, config: Config, paths: Paths, names: Iterable[str]) -> set[str]:
    """The named services and all that they refer to."""
    by_name = {service.name: service for service in [*state.services.specs(), *services(config, paths)]}
    found: set[str] = set()
    open_ends = list(names)
    while open_ends:
        name = open_ends.pop()
        if name not in by_name:
            raise not_found("service", name, by_name, "box status")
        if name not in found:
            found.add(name)
            open_ends += needs(by_name[name])
    return found


def up(paths: Paths, config: Config, state: StateStore, names: Iterable[str], detach: bool, by: str) -> Supervisor:
    """Make the box run. In the foreground this returns when the box is down again.

    Raises:
        BoxError: another supervisor runs this box and `detach` is off (exit code 1), or it did not start.
    """
    chosen = with_needs(state, config, paths, names_of(state, names))
    _outwait_a_stopping_one(paths, state)
    there = holder(paths)
    if there is not None and not detach and not chosen:
        raise already(paths, there)
    declare(paths, config, state, chosen, by)
    if there is None:
        _forget_the_dead(state)
        declare_releases(paths, config, state, by)
    state.meta.set(WANTED, "up")
    for name in chosen or [row.service.name for row in state.services.wanted() if row.desired]:
        _want(state, name, by)
    if there is not None:
        return there
    # Before any server opens it: two that make the same SQLite schema at once spoil it.
    tracking.prepare(paths)
    return start_detached(paths) if detach else run_here(paths, config, state)


def _forget_the_dead(state: StateStore) -> None:
    """What the state says of processes that were killed with their supervisor is not true any more."""
    gone = {"pid": None, "pid_started": None, "running_digest": None}
    for row in state.services.wanted():
        over = row.state in (State.STOPPED, State.FAILED)
        if not over and not processes.alive(row.pid, row.pid_started):
            state.services.moved(row.service.name, State.STOPPED, "", None, **gone)


def _want(state: StateStore, name: str, by: str) -> None:
    row = {wanted.service.name: wanted for wanted in state.services.wanted()}.get(name)
    if row is None or not row.desired or row.state is State.FAILED:
        state.services.set_desired(name, True, by)


def run_here(paths: Paths, config: Config, state: StateStore) -> Supervisor:
    """Be the supervisor until the box is told to stop."""
    lock = Lock(paths.lock)
    if not lock.acquire():
        raise already(paths, holder(paths))
    here = Supervisor(os.getpid(), time.time(), "")
    # Logs, databases and artifacts that the children write are nobody else's business.
    os.umask(0o077)
    try:
        Loop(paths, config, state).run()
    finally:
        lock.release()
    return here


def start_detached(paths: Paths) -> Supervisor:
    """Start a supervisor that outlives this process, and wait until it holds the lock.

    Raises:
        BoxError: it ended before it held the lock (exit code 1).
    """
    argv = [sys.executable, "-m", "boxplat", "--project", str(paths.root), "up"]
    # Without the marker: a supervisor is no process of the box that a sweep may end.
    env = {key: value for key, value in os.environ.items() if key not in (*DROPPED, processes.MARKER)}
    child = processes.spawn(argv, env, paths.root, paths.supervisor_log)
    while True:
        there = holder(paths)
        if there is not None and there.pid:
            return there
        if child.poll() is not None and holder(paths) is None:
            raise BoxError(
                "the supervisor did not start",
                why=last_words(paths.supervisor_log, 8) or f"it exited with status {child.returncode}",
                fix="box doctor",
                log=paths.supervisor_log,
            )
        time.sleep(_POLL)


def already(paths: Paths, there: Supervisor | None) -> BoxError:
    """The error of the one that came second."""
    who = f"pid {there.pid}, started by {there.by} {time.time() - there.started:.0f} s ago" if there else "just now"
    return BoxError(
        f"this box is up already ({who})",
        why="one supervisor holds a box at a time",
        fix="box status   (to stop it: box down)",
        log=paths.supervisor_log,
    )


def _outwait_a_stopping_one(paths: Paths, state: StateStore, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while holder(paths) is not None and state.meta.get(WANTED) == "down" and time.monotonic() < deadline:
        time.sleep(_POLL)


def stop(state: StateStore, names: Iterable[str], by: str) -> None:
    """Ask for the end of the named services; an endpoint's are the processes of its releases."""
    for name in names_of(state, names):
        state.services.set_desired(name, False, by)


def down(paths: Paths, state: StateStore | None, timeout: float) -> list[int]:
    """Stop the whole box; returns the pids that a dead supervisor had left and were ended.

    Args:
        state: None where it cannot be read; then the supervisor gets a signal instead of a wish.

    Raises:
        BoxError: the supervisor did not end in time (exit code 6).
    """
    there = holder(paths)
    if not _wished(state) and there is not None:
        processes.signal_all([there.pid], signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while there is not None and holder(paths) is not None:
        if time.monotonic() > deadline:
            raise BoxError(
                f"the supervisor (pid {there.pid}) did not stop within {timeout:g} s",
                why="a process of the box may hang",
                fix=f"kill {there.pid}; box down",
                log=paths.supervisor_log,
                code=ExitCode.TIMED_OUT,
            )
        time.sleep(_POLL)
    return [] if there is not None else _clean_up(paths, state)


def _wished(state: StateStore | None) -> bool:
    """Write down that the box shall stop; False where that is not possible (a full disk, a damaged file)."""
    try:
        if state is not None:
            state.meta.set(WANTED, "down")
    except BoxError:
        return False
    return state is not None


def _clean_up(paths: Paths, state: StateStore | None) -> list[int]:
    """End what a killed supervisor left behind and say so in the state."""
    lock = Lock(paths.lock)
    if not lock.acquire():
        return []
    try:
        ended = sweep(paths, set())
        if state is None:
            return ended
        gone = {"pid": None, "pid_started": None, "running_digest": None}
        for row in state.services.wanted():
            if row.pid is not None or row.state is not State.STOPPED:
                state.services.moved(row.service.name, State.STOPPED, "", "service.stopped", **gone)
        return ended
    finally:
        lock.release()


def wait(
    paths: Paths, state: StateStore, names: Iterable[str], timeout: float, told: Callable[[ServiceStatus], None]
) -> list[ServiceStatus]:
    """Until the named services (none: all wanted ones) are healthy.

    Args:
        told: called with each status that is new.

    Raises:
        BoxError: unknown name (9), no supervisor (3), a service gave up (1), or time is up (6).
    """
    asked, deadline = list(names), time.monotonic() + timeout
    seen: dict[str, State] = {}
    must_run(paths)
    while True:
        named = names_of(state, asked)
        rows = {row.name: row for row in state.services.all()}
        # An endpoint is reached through it; that of a box that had none is declared by the supervisor.
        door = {GATEWAY} if named - set(asked) else set()
        late, named = time.monotonic() > deadline, named | door
        for name in named - rows.keys() - (set() if late else door):
            raise not_found("service", name, rows, "box status")
        chosen = [row for name, row in rows.items() if (name in named if named else row.desired)]
        for row in chosen:
            if seen.get(row.name) != row.state:
                seen[row.name] = row.state
                told(row)
        if all(row.state.ready for row in chosen) and door <= rows.keys():
            return chosen
        must_run(paths)
        _give_up(chosen, late, timeout)
        time.sleep(_POLL)


def _give_up(chosen: list[ServiceStatus], late: bool, timeout: float) -> None:
    for row in chosen:
        if row.state is State.FAILED or (late and not row.state.ready):
            what = (
                f"{row.name} failed" if row.state is State.FAILED else f"{row.name} is not healthy after {timeout:g} s"
            )
            words = last_words(Path(row.log), 6)
            raise BoxError(
                what,
                why=f"{row.state}: {row.reason}" + (f"\n{words}" if words else ""),
                fix=f"box logs {row.name}   (then: box restart {row.name})",
                log=row.log,
                code=ExitCode.FAILED if row.state is State.FAILED else ExitCode.TIMED_OUT,
            )


def names_of(state: StateStore, names: Iterable[str]) -> set[str]:
    """The services that names mean: that of an endpoint means the processes of the releases that get its requests."""
    found: set[str] = set()
    rows = state.services.all()
    for name in names:
        numbers = {*state.releases.traffic(name)} | {state.releases.shadow(name)}
        own = {row.name for row in rows if (which := Replica.of(row.name)) and which.endpoint == name}
        own = {one for one in own if (which := Replica.of(one)) and which.release in numbers}
        found |= own or {name}
    return found


def restart(state: StateStore, name: str, by: str) -> None:
    """Replace a service's process, or those of an endpoint's releases."""
    for one in sorted(names_of(state, [name])):
        state.services.restart(one, by)


def not_running(paths: Paths) -> BoxError:
    """The error of a command that needs a running box."""
    return BoxError(
        "the box is not running",
        why=f"no supervisor holds {paths.lock}",
        fix="box up --detach",
        log=paths.supervisor_log,
        code=ExitCode.NO_BOX,
    )


def must_run(paths: Paths) -> None:
    """Raise unless a supervisor runs this box."""
    if holder(paths) is None:
        raise not_running(paths)
