"""One run's process: starts the flow, follows its spool, keeps the state current and MLflow informed.

`python -m boxplat.runs.launcher RUN` with the project as the working folder; stdout and stderr are the run's log.
SIGTERM cancels the run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

from boxplat.core import config as settings
from boxplat.core import flowlock, processes
from boxplat.core.errors import BoxError
from boxplat.core.logs import last_words
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import code, materialized, spool
from boxplat.runs.ending import end_all
from boxplat.runs.links import announce, say, tag_metaflow, tracking_url
from boxplat.runs.outbox import ANSWER, Outbox, Unsent, box_identity
from boxplat.runs.profiles.profiling import Profiling
from boxplat.runs.progress import Progress, close_tasks
from boxplat.runs.shipping import Shipment
from boxplat.runs.starting import Job, start_flow
from boxplat.runs.sweeps.parent import lineage

POLL = 0.15
FIRST_ANSWER = 2.0
# The supervisor gives a cancelled run 20 s in all.
CANCELLED_ANSWER = 5.0
ERROR_LINES = 12


@dataclass(slots=True)
class Cancellation:
    """Whether SIGTERM came. A plain flag: a signal handler must take no lock that the main thread may hold."""

    requested: bool = False


def main(run_id: int) -> int:
    """Run the queued run `run_id` of the project in the working folder; returns the exit status."""
    root = Path(os.environ.get("BOXPLAT_PROJECT") or os.getcwd())
    paths = Paths(root)
    cancelled = Cancellation()
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(cancelled, "requested", True))
    state = StateStore.open(paths)
    if not state.runs.claim(run_id, os.getpid(), processes.start_ticks(os.getpid()) or 0.0):
        return 0
    try:
        job = Job(paths, settings.load(paths.config, os.environ), state, state.runs.get(run_id))
        job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with flowlock.writing(paths, job.run.name):
            launch(job, cancelled)
    except BoxError as error:
        _failed(state, run_id, str(error))
    except Exception as error:
        traceback.print_exc()
        _failed(state, run_id, f"the launcher met a defect: {type(error).__name__}: {error}")
    return 0


def _failed(state: StateStore, run_id: int, error: str) -> None:
    say(error)
    state.runs.update(run_id, event="run.failed", state=RunState.FAILED, ended=time.time(), error=error)


def launch(job: Job, cancelled: Cancellation) -> None:
    """Run the flow to its end.

    Raises:
        BoxError: it cannot be started.
    """
    unsent = Unsent(job.folder)
    unsent.claim(make=True)
    outbox = _outbox(job)
    # Known before the flow starts where the server is up: the id is then a tag of the Metaflow run from the beginning.
    outbox.attempt(FIRST_ANSWER)
    known = job.state.runs.get(job.run.id).tracking_run_id
    flow = start_flow(job, known)
    try:
        outbox.start()
        spool.append(job.spool, {"kind": "tags", "at": time.time(), "tags": _facts(job)})
        progress = Progress(job.state, job.run.id)
        status = _follow(job, flow, progress, cancelled)
    finally:
        end_all(flow, job.spool)
    final = _final(job, progress, status, cancelled.requested)
    try:
        arrived = outbox.finish(final, CANCELLED_ANSWER if cancelled.requested else ANSWER)
    except Exception:
        # Whatever tracking does, the run's end must be recorded; what is unsent stays marked.
        arrived = False
        traceback.print_exc()
    if arrived:
        unsent.sent()
    if final.state is RunState.SUCCEEDED:
        materialized.tell(job.state, job.run.id, progress.materialized)
    _record(job, final)
    if known is None:
        _tag_late(job)


def _outbox(job: Job) -> Outbox:
    identity = f"{box_identity(job.state)}/{job.run.id}"
    shipment = Shipment(job.run, identity, job.paths.metaflow, say, lineage(job.state, job.paths, job.run))

    def opened(tracking_run_id: str) -> None:
        announce(job.state, job.folder, job.run.id, tracking_run_id)

    return Outbox(shipment, job.spool, lambda: tracking_url(job.state), opened, say)


def _facts(job: Job) -> dict[str, str]:
    facts = code.tags((job.paths.root / job.run.flow).resolve())
    if job.run.options.get("resume"):
        origin = job.state.runs.get(int(job.run.options["resume"]))
        facts["boxplat.resumed_run"] = str(origin.id)
        facts["metaflow.origin_pathspec"] = origin.pathspec or ""
    return facts


def _follow(job: Job, flow: subprocess.Popen[bytes], progress: Progress, cancelled: Cancellation) -> int:
    """Keep the task rows current until the flow ends; returns its exit status."""
    records = spool.Tail(job.spool)
    profiling = Profiling(job.state, job.run.id, job.spool, job.config.rates)
    while not cancelled.requested:
        try:
            flow.wait(POLL)
            break
        except subprocess.TimeoutExpired:
            _take(progress, profiling, records)
    # A task can outlive its scheduler and still report its end, so the last look comes when nobody is left to write.
    end_all(flow, job.spool)
    status = flow.wait()
    _take(progress, profiling, records)
    profiling.close()
    return status


def _take(progress: Progress, profiling: Profiling, records: spool.Tail) -> None:
    new = records.read()
    progress.take(new)
    profiling.take(new)
    for record in new:
        if record["kind"] == "note":
            say(f"the recorder met an error (the step is not affected): {record['text']}")
        elif record["kind"] == "cold":
            say(f"{record['step'] if record.get('step') else 'every task'} starts in a new process: {record['why']}")
        elif record["kind"] == "wait":
            say(f"step {record['step']} (task {record['task']}) waits: {record['why']}{_until(record)}")


def _until(record: spool.Record) -> str:
    estimate = record.get("estimate")
    if not isinstance(estimate, int | float):
        return ""
    return f"; about {max(0.0, estimate - record['at']):.0f} s more"


def _final(job: Job, progress: Progress, status: int, cancelled: bool) -> Run:
    """The run as it ended, its task rows closed."""
    # A flow that was already through when the cancellation came did succeed.
    state = RunState.SUCCEEDED if status == 0 else RunState.CANCELLED if cancelled else RunState.FAILED
    ended = time.time()
    close_tasks(job.state, job.run.id, state, ended)
    run = job.state.runs.get(job.run.id)
    error = None
    if state is RunState.FAILED:
        said = last_words(job.paths.run_log(run.id), ERROR_LINES)
        error = progress.failure or f"the flow ended with status {status}\n{said}".strip()
    elif state is RunState.CANCELLED and not run.cancel_requested:
        error = f"the box was stopped while it ran   (go on: box run {run.flow} --resume {run.id})"
    return replace(run, state=state, ended=ended, exit_code=status, error=error)


def _record(job: Job, final: Run) -> None:
    job.state.runs.update(
        final.id,
        event=f"run.{final.state}",
        state=final.state,
        ended=final.ended,
        exit_code=final.exit_code,
        error=final.error,
    )
    say(f"run {final.id}: {final.state}")


def _tag_late(job: Job) -> None:
    """The Metaflow tag of a run whose MLflow run could only be made after it had started."""
    run = job.state.runs.get(job.run.id)
    if run.pathspec and run.tracking_run_id:
        tag_metaflow(job.paths, job.config, run.pathspec, run.tracking_run_id)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
