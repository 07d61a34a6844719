"""Starting a run's flow: its command, its environment, and its tie to the launcher."""

from __future__ import annotations

import ctypes
import json
import math
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from boxplat.adapters import flows
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError
from boxplat.core.model import Run
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs.capacity import Machine
from boxplat.runs.links import say, tracking_url
from boxplat.runs.outbox import spool_path
from boxplat.runs.profiles import learnt
from boxplat.runs.sweeps import parent

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Job:
    """Everything that one launch needs."""

    paths: Paths
    config: Config
    state: StateStore
    run: Run

    @property
    def folder(self) -> Path:
        return self.paths.run_dir(self.run.id)

    @property
    def spool(self) -> Path:
        return spool_path(self.folder)


def start_flow(job: Job, tracking_run_id: str | None) -> subprocess.Popen[bytes]:
    """Start the flow with the recorder switched on, its output in the run's log.

    Raises:
        BoxError: it cannot be started.
    """
    command = _command(job, tracking_run_id)
    base = child_environment(job.paths, job.config, tracking_url(job.state))
    env = flows.environment(base, job.spool, job.run.name, tracking_run_id)
    env |= parent.environment(job.state, job.run, tracking_run_id) | _claims(job)
    if job.run.options.get("trigger"):
        env["BOXPLAT_TRIGGER"] = json.dumps(job.run.options["trigger"])
    env["BOXPLAT_RUN_WARM"] = str(job.config.run.warm and not job.run.options.get("cold")).lower()
    say(f"run {job.run.id}: {' '.join(command[1:])}")
    try:
        # In our own process group: when this launcher is killed, the supervisor ends the group.
        return subprocess.Popen(
            command, cwd=job.paths.root, env=env, stdin=subprocess.DEVNULL, preexec_fn=_following_parent()
        )
    except OSError as error:
        raise BoxError(
            f"cannot start {job.run.flow}",
            why=str(error),
            fix="box doctor",
            log=job.paths.run_log(job.run.id),
        ) from error


def _claims(job: Job) -> dict[str, str]:
    """What the flow's tasks need to claim their part of the machine."""
    return {"BOXPLAT_LEARNT": json.dumps(learnt(job.state, job.run.name))}


def _command(job: Job, tracking_run_id: str | None) -> tuple[str, ...]:
    run, options = job.run, job.run.options
    origin = job.state.runs.get(int(options["resume"])) if options.get("resume") else None
    path = Path(run.flow)
    tags = [str(tag) for tag in options.get("tags", [])]
    return flows.command(
        sys.executable,
        run.flow,
        flows.read(path if path.is_absolute() else job.paths.root / path),
        run.params,
        max_workers=int(options.get("max_workers") or job.config.run.max_workers or _cores(job)),
        tags=[*tags, *([f"mlflow_run_id:{tracking_run_id}"] if tracking_run_id else []), f"boxplat_run:{run.id}"],
        decorators=[str(name) for name in options.get("with", [])],
        origin_run=(origin.pathspec or "").rpartition("/")[2] if origin else None,
        from_step=options.get("step"),
        extra=[str(word) for word in options.get("extra", [])],
    )


def _cores(job: Job) -> int:
    """As many tasks at once as have a core each: more would only wait at their gates."""
    return max(1, math.floor(Machine(job.config.compute).quick(()).cores))


def _following_parent() -> Callable[[], None]:
    """For the flow's process before it begins: without its launcher, which alone records its end, it starts no more."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

    return prepare
