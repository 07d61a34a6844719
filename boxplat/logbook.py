"""Which log file belongs to a name, and its lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from boxplat.core.errors import not_found
from boxplat.core.logs import follow as follow_file
from boxplat.core.logs import tail
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.replicas import Replica
from boxplat.core.state import StateStore
from boxplat.supervisor.lock import holder


def path_of(paths: Paths, state: StateStore, name: str) -> Path:
    """The log of a run (`7`, `run/7`), of a service, or of the supervisor; or the report of the last `audit`.

    Raises:
        BoxError: no such run or service, or no audit yet (exit code 9).
    """
    number = name.removeprefix("run/")
    if number.isdigit():
        return paths.run_log(state.runs.get(int(number)).id)
    if name == "supervisor":
        return paths.supervisor_log
    known = [row.name for row in state.services.all()]
    if name in known:
        return paths.service_log(name)
    newest = _release(state, name)
    if newest is not None:
        return paths.service_log(newest)
    if Replica.of(name) and paths.service_log(name).exists():
        return paths.service_log(name)
    if name == "audit":
        return _report(paths)
    raise not_found(
        "service or run", name, [*known, *state.endpoints.settings(), "supervisor"], "box status   (runs: box runs)"
    )


def _report(paths: Paths) -> Path:
    """The newest report of an audit; their names begin with their time."""
    found = sorted((paths.state / "audits").glob("*.txt"))
    if not found:
        raise not_found("audit", "of a training set", [], "box features audit")
    return found[-1]


def _release(state: StateStore, name: str) -> str | None:
    """The process whose log is an endpoint's: of the newest release that gets requests, else of the newest of all."""
    traffic, releases = state.releases.traffic(name), state.releases.all(name)
    if not releases:
        return None
    return Replica(name, max(traffic, default=releases[0].number)).name


def lines_of(
    paths: Paths, state: StateStore, name: str, follow: bool, step: str | None, lines: int, wait: float
) -> Iterator[str]:
    """The last lines of a log, and with `follow` those that come (of a run: until it is over)."""
    path = path_of(paths, state, name)
    number = name.removeprefix("run/")
    run = int(number) if number.isdigit() else None

    def more() -> bool:
        if run is not None and _ended(paths, state.runs.get(run)):
            return False
        time.sleep(wait)
        return True

    size = path.stat().st_size if path.exists() else 0
    last = [line for line in tail(path, lines if step is None else 100_000) if _of_step(line, step)]
    yield from last[max(0, len(last) - lines) :]
    if follow:
        yield from (line for line in follow_file(path, size, more) if _of_step(line, step))


def _ended(paths: Paths, run: Run) -> bool:
    """Whether no more lines will come: it is over, or waits in the queue of a box that is down."""
    return run.state.over or (run.state is RunState.QUEUED and holder(paths) is None)


def _of_step(line: str, step: str | None) -> bool:
    """Whether a line of Metaflow's output (`… [run/step/task (pid 1)] text`) is the step's."""
    return step is None or f"/{step}/" in line.partition("]")[0]
