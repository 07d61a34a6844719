"""Nouns as rows of tables: which columns, which words. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from boxplat.core.model import Endpoint, Event, GpuProcess, Release, Run, ServiceStatus, Snapshot, State, Task
from boxplat_tui.format import NONE, age, clock, duration, moment, pairs, size, span
from boxplat_tui.glyphs import Cell, run_state, service_state
from boxplat_tui.widgets.table import Column, Row

SERVICES = (
    Column("SERVICE", 22),
    Column("STATE", 11),
    Column("SINCE", 6, right=True),
    Column("URL", 21, from_width=60),
    Column("MEMORY", 8, right=True, from_width=78),
    Column("RESTARTS", 8, right=True, from_width=90),
    Column("STARTED IN", 10, right=True, from_width=110),
    Column("WHAT", 0, from_width=110),
)


def services(snapshot: Snapshot) -> list[Row]:
    """A row a service; an endpoint's names the releases that get its traffic."""
    live = {endpoint.name: traffic(endpoint) for endpoint in snapshot.endpoints}
    return [_service(service, live.get(service.name, ""), snapshot.at) for service in snapshot.services]


def _service(service: ServiceStatus, live: str, now: float) -> Row:
    name = f"{service.name} {live}" if live else service.name
    restarts = Cell(str(service.restarts), "warn" if service.restarts else "muted")
    started = duration(service.healthy_seconds)
    up = service.state.ready or service.state is State.UNHEALTHY
    return Row(
        service.name,
        (
            Cell(name, "strong"),
            service_state(service.state),
            Cell(span(now - service.since), "muted"),
            Cell(service.url or NONE, "" if up else "muted"),
            Cell(size(service.memory_bytes)),
            restarts,
            Cell(started, "muted"),
            Cell(service.reason or service.kind, "muted"),
        ),
        (
            service.name,
            service.state,
            -service.since,
            service.port,
            service.memory_bytes,
            service.restarts,
            service.healthy_seconds,
            service.reason,
        ),
    )


def traffic(endpoint: Endpoint) -> str:
    """Where an endpoint's traffic goes: `#7`, or `#7 90 %  #8 10 %`."""
    weights = {number: weight for number, weight in endpoint.traffic.items() if weight > 0}
    if len(weights) == 1:
        return f"#{next(iter(weights))}"
    return "  ".join(f"#{number} {weight} %" for number, weight in weights.items())


RUNS = (
    Column("RUN", 5),
    Column("FLOW", 18),
    Column("STATE", 11),
    Column("TOOK", 7, right=True),
    Column("STARTED", 9, right=True),
    Column("MLFLOW RUN", 12, from_width=100),
    Column("PARAMETERS", from_width=76),
)


def runs(snapshot: Snapshot) -> list[Row]:
    """A row a run."""
    return [_run(run, snapshot.at) for run in snapshot.runs]


def _run(run: Run, now: float) -> Row:
    started = run.started or run.created
    return Row(
        str(run.id),
        (
            Cell(str(run.id), "muted"),
            Cell(run.name, "strong"),
            run_state(run.state),
            Cell(duration(taken(run, now))),
            Cell(age(started, now), "muted"),
            Cell((run.tracking_run_id or NONE)[:12], "muted"),
            Cell(pairs(run.params) or NONE, "muted"),
        ),
        (run.id, run.name, run.state, taken(run, now), -started, run.tracking_run_id, pairs(run.params)),
    )


def taken(run: Run | Task, now: float) -> float | None:
    """Seconds that a run or a task has taken until now or its end; None before it started."""
    return None if run.started is None else max((run.ended or now) - run.started, 0.0)


def model_of(release: Release) -> str:
    """`delay v3`."""
    return NONE if release.model is None else f"{release.model} v{release.model_version}"


ALL_EVENTS = (
    Column("TIME", 14),
    Column("EVENT", 22),
    Column("SUBJECT", 12),
    Column("DETAIL"),
)
EVENTS = (
    Column("TIME", 8),
    Column("EVENT", 22),
    Column("SUBJECT", 14),
    Column("DETAIL"),
)
_NOISE = frozenset({"pid_started", "digest", "started", "ended", "state"})
_BAD = ("failed", "exited", "killed", "refused")
_GOOD = ("succeeded", "healthy", "live", "materialized")


def events(told: Sequence[Event]) -> list[Row]:
    """A row an event, the newest first."""
    return [_event(event) for event in sorted(told, key=lambda event: -event.id)]


def all_events(told: Sequence[Event]) -> list[Row]:
    """The same with the day, `11-22 14:02:11`."""
    return [_event(event, moment(event.at)[5:]) for event in told]


def _event(event: Event, time: str = "") -> Row:
    verb = event.kind.rpartition(".")[2]
    tone = "bad" if verb in _BAD else "ok" if verb in _GOOD else ""
    detail = pairs(
        {key: value for key, value in event.data.items() if value not in (None, "", {}, []) and key not in _NOISE}
    )
    return Row(
        str(event.id),
        (Cell(time or clock(event.at), "muted"), Cell(event.kind, tone), Cell(event.subject), Cell(detail, "muted")),
        (event.at, event.kind, event.subject, detail),
    )


GPU_PROCESSES = (
    Column("GPU", 3, right=True),
    Column("PID", 8, right=True),
    Column("OWNER"),
    Column("MEMORY", 9, right=True),
    Column("PROCESS", from_width=64),
)


def gpu_processes(snapshot: Snapshot) -> list[Row]:
    """A row a process that holds device memory, the largest first; what is not the box's own is foreign."""
    runs_by_id = {str(run.id): f"run {run.id} {run.name}" for run in snapshot.runs}
    subjects = owners(snapshot)
    found = [(gpu.index, process) for gpu in snapshot.gpus for process in gpu.processes]
    found.sort(key=lambda pair: -(pair[1].memory_bytes or 0))
    return [
        _process(index, process, runs_by_id.get(owner, owner))
        for index, process in found
        for owner in [subjects.get(process.pid, "foreign")]
    ]


def owners(snapshot: Snapshot) -> dict[int, str]:
    """What each process of the box belongs to, as in `box logs SUBJECT`."""
    found = {run.pid: str(run.id) for run in snapshot.runs if run.pid and not run.state.over}
    return found | {service.pid: service.name for service in snapshot.services if service.pid}


def _process(index: int, process: GpuProcess, owner: str) -> Row:
    return Row(
        f"{index}/{process.pid}",
        (
            Cell(str(index), "muted"),
            Cell(str(process.pid), "muted"),
            Cell(
                f"foreign {process.name}" if owner == "foreign" else owner, "muted" if owner == "foreign" else "strong"
            ),
            Cell(size(process.memory_bytes)),
            Cell(process.name, "muted"),
        ),
        (index, process.pid, owner, process.memory_bytes, process.name),
    )
