"""The nouns of boxplat: frozen dataclasses, standard library only.

Times are seconds since the epoch (UTC) as float; sizes are bytes as int unless the name says otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# Of a service whose gRPC server takes whatever port is free.
ANY_PORT = -1


class State(StrEnum):
    """Where a service is in its life."""

    STOPPED = "stopped"
    WAITING = "waiting"
    STARTING = "starting"
    RUNNING = "running"
    ASLEEP = "asleep"
    UNHEALTHY = "unhealthy"
    STOPPING = "stopping"
    FAILED = "failed"

    @property
    def ready(self) -> bool:
        """It answers: at once, or when the question has started its process again."""
        return self in (State.RUNNING, State.ASLEEP)


class RunState(StrEnum):
    """Where a run, or a task of it, is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True, slots=True)
class Service:
    """A named long-running process, declared with its references unresolved (`${tracking.url}`, `${self.port}`).

    One that is asked nothing for `idle_seconds` is stopped until it is asked again (0: never); only with `listen`.
    """

    name: str
    command: tuple[str, ...]
    kind: str = "service"
    env: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    listen: bool = False
    health: str = "/health"
    cwd: str = "${box.root}"
    needs: tuple[str, ...] = ()
    start_seconds: float = 90.0
    stop_seconds: float = 8.0
    replicas: int = 1
    cpu: float = 1.0
    memory_mib: int = 512
    gpu_memory_mib: int = 0
    grpc_port: int = 0
    idle_seconds: float = 0.0

    def texts(self) -> list[str]:
        """Every string that may hold a reference."""
        return [*self.command, *self.env.values(), self.cwd]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Service:
        known = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
        known["command"] = tuple(known["command"])
        known["needs"] = tuple(known.get("needs", ()))
        return cls(**known)

    def digest(self) -> str:
        """Changes whenever a running process would have to be replaced to match the declaration."""
        import hashlib
        import json

        text = json.dumps(self.as_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as it is now. `since` is when it entered `state`; `healthy_seconds` is how long its last start took.

    `grpc_port` is None where it speaks no gRPC.
    """

    name: str
    kind: str
    desired: bool
    state: State
    pid: int | None
    port: int | None
    url: str | None
    restarts: int
    since: float
    reason: str
    log: str
    memory_bytes: int | None = None
    healthy_seconds: float | None = None
    grpc_port: int | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a flow. `pathspec` is Metaflow's `Flow/run-id`, `tracking_run_id` MLflow's.

    Among the runs of its `priority` (interactive or batch) the one with the lowest `position` goes first. One that is
    `held` starts no step until it is released.
    """

    id: int
    flow: str
    name: str
    state: RunState
    params: Mapping[str, str]
    created: float
    started: float | None = None
    ended: float | None = None
    pid: int | None = None
    pathspec: str | None = None
    tracking_run_id: str | None = None
    exit_code: int | None = None
    error: str | None = None
    log: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    cancel_requested: bool = False
    priority: str = "interactive"
    position: float = 0.0
    held: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a run: a step at a foreach index, with its last attempt (counted from 0).

    `waits` says why it waits, while it is queued.
    """

    run_id: int
    step: str
    task: str
    attempt: int
    state: RunState
    started: float
    ended: float | None = None
    index: int | None = None
    error: str | None = None
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a run read or wrote, by content.

    `way` is read, wrote, or noted: what the flow itself says in its artifact `data_digests`. `digest` is SHA-256 of the
    file, or of the names and digests of `files` many; empty where `note` says why. `path` is relative to the project
    where it lies in it, `bytes` of all files.
    """

    way: str
    name: str
    digest: str
    path: str = ""
    files: int = 0
    bytes: int = 0
    step: str = ""
    at: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Schedule:
    """A flow that starts by itself: at the times of a cron expression in a time zone, or when all of `events` came.

    `state` is on, paused, off (by the settings) or refused, and `problem` then says why, in the parts of an error.
    `come` are the events that came already. `next` is when it is due next; `last` when it was started last, by `run`.
    """

    flow: str
    name: str
    state: str
    cron: str = ""
    zone: str = ""
    events: tuple[str, ...] = ()
    come: tuple[str, ...] = ()
    next: float | None = None
    last: float | None = None
    run: int | None = None
    missed: str = "last"
    overlap: bool = False
    after: tuple[str, ...] = ()
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    source_run_id: str | None
    created: float
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Release:
    """An immutable, numbered thing that an endpoint can serve.

    `run` is the tracking run that made the model version, `settings` are those of its processes, `evidence` is what
    spoke for it. `state` is created, live, shadow, retired or failed.
    """

    endpoint: str
    number: int
    bento: str
    model: str | None
    model_version: int | None
    feature_service: str | None
    environment: str
    created: float
    created_by: str
    state: str = "created"
    run: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    evidence: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A stable name and URL that sends traffic to releases by weight (percent, by release number).

    `grpc` is the address of its gRPC server, `127.0.0.1:4000`, where it has one. `shadow` is the release that gets a
    copy of each request. `reason` says why it does not run. `access` is "open" to everybody on this machine, or "keys".
    """

    name: str
    url: str | None
    state: State
    traffic: Mapping[int, int]
    releases: tuple[Release, ...]
    grpc: str | None = None
    shadow: int | None = None
    reason: str = ""
    access: str = "open"


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A key of the gateway, without the key itself. `revoked` is None while it is in use."""

    name: str
    scopes: tuple[str, ...]
    made: float
    made_by: str
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the append-only audit log."""

    id: int
    at: float
    subject: str
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory on a device. `memory_bytes` is None where the driver hides it."""

    pid: int
    name: str
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device. Utilisation in percent, power in watts, temperature in degrees Celsius; None: not reported."""

    index: int
    name: str
    uuid: str
    memory_total: int
    memory_used: int
    utilisation: int | None
    power: float | None
    power_limit: float | None
    temperature: int | None
    processes: tuple[GpuProcess, ...] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """The cores and the memory that the box may use: of the machine, or of the control group that allows less.

    `busy` is how many cores were in use since the last reading in the same process (None: it was the first); sizes are
    bytes.
    """

    cores: float
    busy: float | None
    memory_total: int
    memory_used: int


@dataclass(frozen=True, slots=True)
class Supervisor:
    """Who holds the box: the process that starts and stops all others."""

    pid: int
    started: float
    by: str
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a screen or `box status --json` shows, read in one transaction."""

    at: float
    project: str
    root: str
    supervisor: Supervisor | None
    services: tuple[ServiceStatus, ...]
    runs: tuple[Run, ...]
    endpoints: tuple[Endpoint, ...]
    gpus: tuple[Gpu, ...]
    gpu_note: str
    events: tuple[Event, ...]
    host: Host | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One finding of `box doctor`. `state` is ok, warn, fail or skip; `fix` is a command, empty if nothing is wrong."""

    id: str
    group: str
    title: str
    state: str
    detail: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """What every exporter yields; `path` is relative to the output folder."""

    path: str
    text: str
    executable: bool = False
