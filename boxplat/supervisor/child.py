"""One service: from its declaration to a healthy process, again and again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from boxplat.core import processes
from boxplat.core.backoff import Backoff
from boxplat.core.errors import BoxError
from boxplat.core.graph import needs, resolve
from boxplat.core.logs import last_words
from boxplat.core.model import Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.services import Wanted
from boxplat.supervisor.health import Probes
from boxplat.supervisor.leasing import Leasing
from boxplat.supervisor.sockets import Address
from boxplat.supervisor.waking import idle

_STARTING_EVERY = 0.1
_RUNNING_EVERY = 3.0
_PROBE_SECONDS = 5.0
_MISSES = 3
_SICK_SECONDS = 60.0


@dataclass
class Process:
    """A process of ours; `popen` is None for one that an earlier supervisor started."""

    pid: int
    ticks: float
    service: Service
    digest: str
    generation: int
    began: float
    popen: subprocess.Popen[bytes] | None = None

    def exit_status(self) -> int | None:
        """None while it lives; -1 when it is gone and nobody can tell how."""
        if self.popen is not None:
            return self.popen.poll()
        return None if processes.alive(self.pid, self.ticks) else -1


class Child:
    """Brings one service to its desired state, a small step per tick.

    Attributes:
        crashed: when its process last ended unasked, seconds since the epoch.
    """

    def __init__(
        self,
        name: str,
        state: StateStore,
        paths: Paths,
        probes: Probes,
        environment: Callable[[], dict[str, str]],
        leasing: Leasing,
    ) -> None:
        self.name = name
        self.state_now = State.STOPPED
        self.process: Process | None = None
        self.crashed: float | None = None
        self._state = state
        self._paths = paths
        self._probes = probes
        self._environment = environment
        self._leasing = leasing
        self._address = Address()
        self._backoff = Backoff()
        self._tried: tuple[str, int] | None = None
        self._stop_at: float | None = None
        self._stop_reason = ""
        self._stop_failed = False
        self._falls_asleep = False
        self._next_probe = 0.0
        self._misses = 0
        self._sick_since: float | None = None
        self._restarts = 0
        self._waits = ""

    # -- what the loop calls -------------------------------------------------------------------------------------

    def adopt(self, wanted: Wanted) -> bool:
        """Go on with a process that an earlier supervisor left. False: there is none that fits."""
        self._restarts = wanted.restarts
        fits = wanted.running_digest == wanted.digest and processes.alive(wanted.pid, wanted.pid_started)
        if not fits or wanted.pid is None or wanted.pid_started is None:
            return False
        now = time.monotonic()
        self.process = Process(wanted.pid, wanted.pid_started, wanted.service, wanted.digest, wanted.generation, now)
        self._tried = (wanted.digest, wanted.generation)
        self._address.adopt(wanted.service, wanted.pid, wanted.port, wanted.grpc_port)
        self._leasing.adopt(wanted.service, wanted.pid)
        self._move(State.STARTING, "found running after a restart of the supervisor", "service.adopted", pid=wanted.pid)
        return True

    def tick(self, wanted: Wanted, healthy: Callable[[str], bool], values: Mapping[str, str], may_stop: bool) -> None:
        """One step towards what is wanted.

        Args:
            healthy: whether the service of that name is running and healthy.
            values: what references to other services resolve to.
            may_stop: False holds a stop back while dependents still run.
        """
        now = time.monotonic()
        if self.process is not None:
            self._tend(wanted, now, may_stop)
        elif not wanted.desired:
            self._rest()
        else:
            self._bring_up(wanted, now, healthy, values)

    @property
    def port(self) -> int | None:
        return self._address.port

    def close(self) -> None:
        """Let go of the listening socket."""
        self._address.close()

    # -- with a process ------------------------------------------------------------------------------------------

    def _tend(self, wanted: Wanted, now: float, may_stop: bool) -> None:
        assert self.process is not None
        status = self.process.exit_status()
        if status is not None:
            self._gone(status, wanted, now)
        elif self._stop_at is not None:
            if now >= self._stop_at:
                processes.signal_group(self.process.pid, signal.SIGKILL)
        elif not wanted.desired:
            if may_stop:
                self._stop("asked to stop", now)
        elif wanted.digest != self.process.digest or wanted.generation != self.process.generation:
            self._stop("replaced by a new declaration or asked to restart", now)
        else:
            self._watch(now)

    def _stop(self, reason: str, now: float, failed: bool = False) -> None:
        assert self.process is not None
        self._stop_at = now + self.process.service.stop_seconds
        self._stop_reason, self._stop_failed = reason, failed
        self._move(State.STOPPING, reason, "service.stopping")
        processes.signal_group(self.process.pid, signal.SIGTERM)

    def _watch(self, now: float) -> None:
        assert self.process is not None and self.port is not None
        finding = self._probes.result(self.name)
        if finding is not None:
            self._heard(finding, now)
        elif not self._probes.running(self.name) and now >= self._next_probe:
            self._probes.start(self.name, self.port, self.process.service.health, _PROBE_SECONDS)
        if self.state_now is State.STARTING and now - self.process.began > self.process.service.start_seconds:
            self._stop(f"not healthy within {self.process.service.start_seconds:g} s", now, failed=True)
        elif self._sick_since is not None and now - self._sick_since > _SICK_SECONDS:
            self._stop(f"unhealthy for {_SICK_SECONDS:g} s", now, failed=True)
        elif self.state_now is State.RUNNING and self._may_sleep():
            self._falls_asleep = True
            self._stop(f"nothing was asked for {self.process.service.idle_seconds:g} s", now)

    def _may_sleep(self) -> bool:
        """Whether nobody needs the process, and its socket is here to tell when somebody does."""
        assert self.process is not None
        if self._address.descriptor < 0 or not idle(self.process.service, self._paths, self.process.began):
            return False
        return not self._address.is_awaited

    def _heard(self, finding: str, now: float) -> None:
        assert self.process is not None
        starting = self.state_now is State.STARTING
        self._next_probe = now + (_STARTING_EVERY if starting and finding else _RUNNING_EVERY)
        if not finding:
            self._misses, self._sick_since = 0, None
            self._backoff.healthy(now)
            if self.state_now is not State.RUNNING:
                took = round(now - self.process.began, 3)
                self._move(State.RUNNING, "", "service.healthy", **({"healthy_seconds": took} if starting else {}))
            return
        self._misses += 1
        if not starting and self._misses >= _MISSES and self.state_now is not State.UNHEALTHY:
            self._sick_since = now
            self._move(State.UNHEALTHY, finding, "service.unhealthy")

    def _gone(self, status: int, wanted: Wanted, now: float) -> None:
        assert self.process is not None
        # What it started itself must not outlive it.
        processes.signal_group(self.process.pid, signal.SIGKILL)
        planned, asleep = self._stop_at is not None and not self._stop_failed, self._falls_asleep
        self._falls_asleep = False
        reason = self._stop_reason or f"exited with status {status}"
        self.process, self._stop_at, self._stop_reason, self._stop_failed = None, None, "", False
        self._misses, self._sick_since = 0, None
        self._probes.forget(self.name)
        cleared = {"pid": None, "pid_started": None, "running_digest": None}
        if planned or not wanted.desired:
            self._leasing.ended(self.name)
            self._backoff.reset()
            if asleep and wanted.desired:
                self._move(State.ASLEEP, f"{reason}; the next request starts it", "service.asleep", **cleared)
            else:
                self._move(State.STOPPED, reason if wanted.desired else "", "service.stopped", **cleared)
            return
        self._restarts += 1
        self.crashed = time.time()
        if self._backoff.failed(now):
            wait = max(0.0, self._backoff.retry_at - now)
            why = f"{reason}; next try in {wait:.1f} s"
            self._leasing.crashed(self.name)
            self._move(State.WAITING, why, "service.exited", restarts=self._restarts, **cleared)
        else:
            self._leasing.ended(self.name)
            why = f"{reason}; gave up after {self._backoff.failures} tries: {self._last_words()}"
            self._move(State.FAILED, why, "service.failed", restarts=self._restarts, **cleared)

    # -- without a process ---------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self._tried = None
        self.close()
        self._backoff.reset()
        self._leasing.ended(self.name)
        if self.state_now is not State.STOPPED:
            self._move(State.STOPPED, "", "service.stopped")

    def _bring_up(self, wanted: Wanted, now: float, healthy: Callable[[str], bool], values: Mapping[str, str]) -> None:
        attempt = (wanted.digest, wanted.generation)
        if self._tried != attempt:
            self._backoff.reset()
        elif self.state_now is State.FAILED or now < self._backoff.retry_at:
            return
        elif self.state_now is State.ASLEEP and not self._address.is_awaited:
            return
        missing = sorted(name for name in needs(wanted.service) if not healthy(name))
        why = f"waits for {', '.join(missing)}" if missing else self._leasing.ask(wanted.service)
        if why:
            if self.state_now is not State.WAITING or (not missing and why != self._waits):
                self._move(State.WAITING, why, None)
            self._waits = why
            return
        self._tried = attempt
        try:
            self._start(wanted, values)
        except (BoxError, OSError) as error:
            why = f"{error.what}: {error.why}" if isinstance(error, BoxError) else str(error)
            self._backoff.failures = 1
            self._leasing.ended(self.name)
            self._move(State.FAILED, why, "service.failed")

    def _start(self, wanted: Wanted, values: Mapping[str, str]) -> None:
        service = wanted.service
        port = self._address.open(service)
        descriptor = self._address.descriptor
        known = {
            **values,
            "self.port": str(port),
            "self.host": "127.0.0.1",
            "self.url": f"http://127.0.0.1:{port}",
            "self.fd": str(descriptor),
            "self.grpc_port": str(self._address.grpc_port or 0),
        }
        argv = [resolve(part, known) for part in service.command]
        env = self._environment() | self._leasing.environment(self.name)
        env |= {key: resolve(value, known) for key, value in service.env.items()}
        cwd, log = Path(resolve(service.cwd, known)), self._paths.service_log(self.name)
        popen = processes.spawn(argv, env, cwd, log, (descriptor,) if descriptor >= 0 else ())
        ticks = processes.start_ticks(popen.pid) or 0.0
        self._leasing.started(self.name, popen.pid)
        self.process = Process(popen.pid, ticks, service, wanted.digest, wanted.generation, time.monotonic(), popen)
        self._next_probe = 0.0
        why = "somebody asks" if self.state_now is State.ASLEEP else ""
        if service.port and port != service.port:
            why = f"port {service.port} is taken, {port} instead"
        ports = {"port": port, "grpc_port": self._address.grpc_port}
        live = {"pid": popen.pid, "pid_started": ticks, "running_digest": wanted.digest, **ports}
        self._move(State.STARTING, why, "service.started", **live)

    # -- words ---------------------------------------------------------------------------------------------------

    def _move(self, state: State, reason: str, event: str | None, **live: object) -> None:
        self.state_now = state
        self._state.services.moved(self.name, state, reason, event, **live)

    def _last_words(self) -> str:
        words = last_words(self._paths.service_log(self.name), 40)
        return words.splitlines()[-1].strip() if words else "it wrote no log"
