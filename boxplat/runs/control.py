"""The verbs on runs: start, wait, cancel. They write desired state; the supervisor acts on it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from boxplat.adapters import flows
from boxplat.adapters.flows import FlowFile
from boxplat.core.claims import Priority
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, nearest, not_found
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import Transaction
from boxplat.runs import requests
from boxplat.runs.capacity import Machine
from boxplat.runs.code import own_files
from boxplat.runs.fingerprint import fingerprint
from boxplat.runs.ledger import FRESH, Ledger
from boxplat.runs.profiles import learnt
from boxplat.runs.queue import Line, line
from boxplat.supervisor.lock import holder

POLL = 0.1
_MOST_NAMES = 500
_START = "start"
_NOT_KEPT = frozenset({"once", "priority"})
_PRIORITIES = (Priority.INTERACTIVE.value, Priority.BATCH.value)


def start(
    state: StateStore,
    paths: Paths,
    config: Config,
    flow: str,
    params: Mapping[str, str],
    options: Mapping[str, Any],
    by: str,
    also: Callable[[Transaction, int], None] | None = None,
) -> Run:
    """Queue a run of a flow, after checking what can be checked without running it.

    Args:
        flow: the file, relative to the project or to the working directory, or absolute.
        options: any of resume (a run's number), step (where to resume), max_workers, tags, with, extra, once (return
            the run of the same code and parameters that succeeded before, if there is one), priority (interactive or
            batch).
        also: what is to be written in the transaction that queues the run, with its number.

    Raises:
        BoxError: no such file or run (exit code 9), not a flow, an unknown parameter or priority, or a run of another
            flow (2), or a step that asks for more than the machine has (8).
    """
    path, stored, declared = check(state, paths, flow, params, options, config)
    mark = fingerprint([path.parent, paths.root / config.features.repo], stored, params)
    before = state.runs.done_before(mark) if options.get("once") else None
    if before is not None:
        return before
    wanted = {name: value for name, value in options.items() if name not in _NOT_KEPT and value not in (None, [], ())}
    kept = {**wanted, "fingerprint": mark, "first": _first(state, declared, options)}
    return state.runs.add(stored, declared.name, dict(params), kept, by, _priority(options), also)


def check(
    state: StateStore,
    paths: Paths,
    flow: str,
    params: Mapping[str, str],
    options: Mapping[str, Any],
    config: Config,
) -> tuple[Path, str, FlowFile]:
    """What can be known of a run without running it.

    Returns:
        the flow's file, its path as the state keeps it, and what it declares.

    Raises:
        BoxError: as `start`.
    """
    path = find(paths, flow)
    declared = flows.read(path)
    stored = _stored(paths, path)
    _check_parameters(stored, declared, params)
    if options.get("resume") is not None:
        _check_resume(state, declared, params, options)
    _priority(options)
    if any(declared.asked.values()):
        requests.refuse_what_never_fits(stored, declared.asked, _ledger(state, config).holdings().capacity)
    return path, stored, declared


def queue(state: StateStore, paths: Paths, config: Config, fresh: float = FRESH) -> Line:
    """What has a lease, and what waits for one: services, tasks, and the queued runs in line.

    Args:
        fresh: seconds of age that a measurement may have.
    """
    most = config.run.max_runs or len(os.sched_getaffinity(0))
    return line(state.runs.active(), _ledger(state, config).holdings(fresh), most, holder(paths) is not None)


def wait(state: StateStore, paths: Paths, run_id: int, timeout: float | None = None) -> Run:
    """Block until a run is over.

    Args:
        timeout: seconds; None waits for ever.

    Raises:
        BoxError: no such run (exit code 9); it is queued and no supervisor runs (3); or the time is up (6), and the
            run goes on.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        run = state.runs.get(run_id)
        if run.state.over:
            return run
        if run.state is RunState.QUEUED and holder(paths) is None:
            raise BoxError(
                f"run {run_id} is queued, but the box is not running",
                why="only a running box starts runs",
                fix=f"box up --detach   (do not run it: box cancel {run_id})",
                code=ExitCode.NO_BOX,
            )
        if deadline is not None and time.monotonic() >= deadline:
            raise BoxError(
                f"run {run_id} is still {run.state} after {timeout:g} s",
                why="the time given to wait is up; the run goes on",
                fix=f"box logs {run_id} --follow   (end it: box cancel {run_id})",
                log=paths.run_log(run_id),
                code=ExitCode.TIMED_OUT,
            )
        time.sleep(POLL)


def cancel(state: StateStore, run_id: int, by: str) -> Run:
    """Ask for the end of a run.

    Raises:
        BoxError: no such run (exit code 9), or it is over already (exit code 1).
    """
    run = state.runs.get(run_id)
    if run.state.over:
        raise BoxError(
            f"run {run_id} is over already: {run.state}",
            why="only a queued or running run can be cancelled",
            fix="box runs",
            log=run.log,
        )
    state.runs.request_cancel(run_id, by)
    return state.runs.get(run_id)


def _ledger(state: StateStore, config: Config) -> Ledger:
    return Ledger(state.database, Machine(config.compute))


def _priority(options: Mapping[str, Any]) -> str:
    name = str(options.get("priority") or Priority.INTERACTIVE)
    if name not in _PRIORITIES:
        raise BoxError(
            f"no priority {name!r}{nearest(name, _PRIORITIES)}",
            why=f"a run is one of: {', '.join(_PRIORITIES)}",
            fix="box run FLOW --priority batch",
            code=ExitCode.USAGE,
        )
    return name


def _first(state: StateStore, flow: FlowFile, options: Mapping[str, Any]) -> dict[str, Any]:
    """What the first step claims, for its run to be started when there is room; of a resumed run nobody knows which."""
    if options.get("resume") is not None:
        return {}
    return {"asked": dict(flow.asked.get(_START, {})), "learnt": learnt(state, flow.name).get(_START, {})}


def find(paths: Paths, flow: str) -> Path:
    """A flow's file, relative to the project or to the working directory, or absolute.

    Raises:
        BoxError: it is in none of these places (exit code 9).
    """
    for path in (paths.root / flow, Path.cwd() / flow):
        if path.is_file():
            return path.resolve()
    raise not_found("flow", flow, _flow_names(paths), "box run FILE   (a file below the project folder)")


def _flow_names(paths: Paths) -> list[str]:
    """Python files of the project that look like flows, for the error that names the nearest."""
    sources = (path for path in own_files(paths.root) if path.suffix == ".py" and os.access(path, os.R_OK))
    found = (str(path.relative_to(paths.root)) for path in sources if b"FlowSpec" in path.read_bytes())
    return list(islice(found, _MOST_NAMES))


def _stored(paths: Paths, path: Path) -> str:
    root = paths.root.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _check_parameters(stored: str, flow: FlowFile, params: Mapping[str, str]) -> None:
    known = flow.parameters | flow.configs
    for name in params:
        if flow.complete and name not in known:
            raise BoxError(
                f"{flow.name} has no parameter {name!r}{nearest(name, known)}",
                why=f"known: {', '.join(sorted(known)) or 'none'}",
                fix=f"box run {stored} --param NAME=VALUE   (see: python {stored} run --help)",
                code=ExitCode.USAGE,
            )


def _check_resume(state: StateStore, flow: FlowFile, params: Mapping[str, str], options: Mapping[str, Any]) -> None:
    origin = state.runs.get(int(options["resume"]))
    step = options.get("step")
    why = ""
    if origin.name != flow.name:
        why = f"it is a run of {origin.name}"
    elif origin.pathspec is None:
        why = "it never came to its first step"
    elif state.disposal.freed(f"run/{origin.id}"):
        why = "box gc has freed its artifacts"
    elif params:
        why = "a resumed run keeps the parameters of its origin"
    elif step is not None and flow.complete and step not in flow.steps:
        why = f"{flow.name} has no step {step!r}{nearest(step, flow.steps)}"
    elif origin.state in (RunState.QUEUED, RunState.RUNNING):
        why = "it is not over yet"
    if why:
        raise BoxError(
            f"cannot resume run {origin.id} with {flow.name}",
            why=why,
            fix=f"box run {origin.flow} --resume {origin.id}" if "parameters" in why else "box runs",
            code=ExitCode.USAGE,
        )
