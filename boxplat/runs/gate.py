"""Where a task waits for its lease: in its own process, before the user's code.

`hold()` is called by the Metaflow extension in every task of a box. The lease is the process's: it ends with it,
however that ends. Nothing is opened when this module is imported, since tasks are forked from a process that has it.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from boxplat.core.claims import Lease, Priority, Waiting
from boxplat.core.errors import BoxError
from boxplat.core.paths import Paths
from boxplat.core.state.database import Database
from boxplat.core.state.queue import Queue, Ticket
from boxplat.runs import requests, spool
from boxplat.runs.capacity import Machine
from boxplat.runs.ledger import Ledger, environment

CLAIM = "BOXPLAT_CLAIM"
LEASE = "BOXPLAT_LEASE"
# Metaflow's status for a task that is not tried again (metaflow.exception.METAFLOW_EXIT_DISALLOW_RETRY).
NO_RETRY = 202
# What takes no longer is no news, and many tasks of a foreach wait that long.
_TELL_AFTER = 0.3
_TELL_AGAIN = 10.0


@dataclass(frozen=True, slots=True)
class Asking:
    """One attempt at a task, and what it asks for."""

    run: int
    flow_run: str
    step: str
    task: str
    attempt: int
    asked: dict[str, Any]
    learnt: dict[str, float]
    nodes: int

    @property
    def owner(self) -> str:
        return f"run/{self.run}/{self.step}/{self.task}"

    def record(self, kind: str, **fields: Any) -> None:
        """Append to the run's spool: the launcher has the task's row and the run's log."""
        path = os.environ.get("BOXPLAT_SPOOL")
        if path:
            told = {"run": self.flow_run, "step": self.step, "task": self.task, "attempt": self.attempt}
            spool.append(Path(path), {"kind": kind, "at": time.time(), **told, **fields})


def prepare() -> None:
    """Do once, in a process that tasks are forked from, what each of them would do anew."""
    _machine()


@cache
def _machine() -> Machine:
    return Machine()


def hold() -> None:
    """Wait until this task has its lease, and keep it to the end of the process.

    Sets CUDA_VISIBLE_DEVICES where the claim has devices. Ends the process where the claim can never fit. Does nothing
    in a task without a claim, or below one that has its lease.
    """
    text = os.environ.pop(CLAIM, "")
    if not text or LEASE in os.environ:
        return
    asking = _asking(json.loads(text), int(os.environ["BOXPLAT_RUN_ID"]))
    paths = Paths(Path(os.environ["BOXPLAT_PROJECT"]))
    database = Database(paths.database)
    try:
        lease = _wait(asking, Queue(database), Ledger(database, _machine()))
    except BoxError as error:
        _refuse(asking, error)
    finally:
        # No open file of the state may be carried over a fork of the user's.
        database.close()
    os.environ[LEASE] = str(lease.id)
    os.environ.update(environment(lease))
    atexit.register(_release, paths, lease.id, os.getpid())


def _asking(told: dict[str, Any], run: int) -> Asking:
    return Asking(
        run=run,
        flow_run=told["run"],
        step=told["step"],
        task=told["task"],
        attempt=told["attempt"],
        asked=told["asked"],
        learnt=told["learnt"],
        nodes=told.get("nodes", 1),
    )


def _wait(asking: Asking, queue: Queue, ledger: Ledger) -> Lease:
    tell, said = time.monotonic() + _TELL_AFTER, ""
    while True:
        answer = _ask(asking, queue.ticket(asking.run), ledger)
        if isinstance(answer, Lease):
            return answer
        why, estimate = (answer.why, answer.estimate) if isinstance(answer, Waiting) else (answer, None)
        now = time.monotonic()
        if why != said and now >= tell:
            asking.record("wait", why=why, estimate=estimate)
            tell, said = now + _TELL_AGAIN, why
        ledger.pause()


def _ask(asking: Asking, ticket: Ticket | None, ledger: Ledger) -> Lease | Waiting | str:
    """The lease, or why there is none now."""
    if ticket is not None and ticket.held:
        ledger.withdraw(asking.owner)
        return f"its run is held   (go on: box queue release {asking.run})"
    priority, position = (ticket.priority, ticket.position) if ticket else (Priority.BATCH, 0.0)
    claim = requests.claim(asking.asked, asking.learnt, Priority(priority), asking.nodes)
    try:
        return ledger.ask(asking.owner, claim, position)
    except BoxError:
        possible = requests.within(claim, asking.asked, ledger.holdings().capacity)
        if possible == claim:
            raise
        return ledger.ask(asking.owner, possible, position)


def _refuse(asking: Asking, error: BoxError) -> NoReturn:
    asking.record("error", error=error.what, traceback=str(error), final=True)
    print(error, file=sys.stderr, flush=True)
    sys.exit(NO_RETRY)


def _release(paths: Paths, lease: int, pid: int) -> None:
    # A child that the user's code forked runs this as well, and the lease is not its own.
    if os.getpid() == pid:
        database = Database(paths.database)
        Ledger(database, _machine()).release(lease)
        database.close()
