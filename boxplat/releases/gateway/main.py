"""The gateway's process: holds Envoy, and keeps its configuration equal to the state of the box."""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from boxplat.core.errors import BoxError
from boxplat.core.logs import last_words
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY
from boxplat.core.state import StateStore
from boxplat.releases.gateway.access import keys
from boxplat.releases.gateway.admin import Admin
from boxplat.releases.gateway.applied import folder, note
from boxplat.releases.gateway.collect import routes
from boxplat.releases.gateway.files import Folder, RefusedError, envoy
from boxplat.releases.gateway.model import Key, Route, Settings, Tracing
from boxplat.releases.gateway.render import BOOTSTRAP, CLUSTERS, render
from boxplat.releases.gateway.service import STOP_SECONDS
from boxplat.releases.gateway.tracing import tracing

_TURN = 0.05
_PAUSE_AFTER_ERROR = 1.0
# Seconds until what was refused is tried again.
_AGAIN = 5.0
_READY_SECONDS = 30.0
_ACCESS_LOG = "gateway-access.log"
_PR_SET_PDEATHSIG = 1
_MOST_THREADS = 4
# As long as a release that loses its endpoint may go on with what it has begun.
_DRAIN_SECONDS = 130


class Gateway:
    """One life of Envoy.

    Args:
        port: of its own listener.
        access_log: whether each request is logged.
    """

    def __init__(self, paths: Paths, state: StateStore, port: int, access_log: bool) -> None:
        self._paths = paths
        self._state = state
        self._port = port
        self._log = f"../{paths.logs.name}/{_ACCESS_LOG}" if access_log else ""
        self._folder = Folder(folder(paths))
        self._admin = Admin(self._folder.path)
        self._tracing = _tracing()
        self._routes: list[Route] = []
        self._keys: tuple[Key, ...] = ()
        self._refused: dict[str, str] | None = None
        self._error = ""
        self._again = 0.0
        self._told: tuple[list[Route], tuple[Key, ...], str] | None = None
        self._seen: tuple[int, int] | None = None
        self._stop = threading.Event()

    def run(self) -> int:
        """Until a signal, or Envoy's end; the exit status."""
        signal.signal(signal.SIGTERM, lambda *_: self._stop.set())
        signal.signal(signal.SIGINT, lambda *_: self._stop.set())
        self._begin()
        process = self._start()
        if not self._ready(process):
            return process.poll() or 1
        while not self._stop.wait(_TURN):
            if process.poll() is not None:
                return process.returncode or 1
            self._follow()
        self._end(process)
        return 0

    def _begin(self) -> None:
        """Files for a new Envoy; where they would not do, none of the endpoints: it tells why and waits for better."""
        found, settings = routes(self._state, self._port, bound=()), self._settings()
        try:
            self._folder.check(found, settings)
        except RefusedError as error:
            self._refuse(render(found, settings), str(error))
            found = []
        self._folder.begin(found, settings)
        self._routes, self._keys = found, settings.keys

    def _start(self) -> subprocess.Popen[bytes]:
        threads = str(max(1, min(_MOST_THREADS, len(os.sched_getaffinity(0)) // 4)))
        argv = [str(envoy()), "-c", BOOTSTRAP, "--concurrency", threads, "--disable-hot-restart", "-l", "warning"]
        argv += [
            "--drain-time-s",
            str(_DRAIN_SECONDS),
            "--drain-strategy",
            "immediate",
            "--file-flush-interval-msec",
            "500",
        ]
        # In a group of its own: what asks this process to end must not reach Envoy before its requests are answered.
        return subprocess.Popen(
            argv,
            cwd=self._folder.path,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_following_parent(),
        )

    def _ready(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait until Envoy serves what it was given: it calls itself live even without its listeners."""
        deadline = time.monotonic() + _READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline and not self._stop.wait(_TURN / 5):
            try:
                if self._admin.ready():
                    self._folder.settled(self._admin)
                    return True
            except RefusedError as error:
                print(f"Envoy does not serve all endpoints: {error}", file=sys.stderr, flush=True)
                break
            except OSError:
                continue
        process.kill()
        return False

    def _follow(self) -> None:
        """Take over what has changed in the state; what was refused is tried again, for the cause may have gone."""
        try:
            version = self._state.database.version()
            if version == self._seen and (not self._error or time.monotonic() < self._again):
                return
            self._seen = version
            self._take(routes(self._state, self._port, _bound(self._routes)))
        except (BoxError, OSError) as error:
            # A full disk or a busy state: what is in use stays in use.
            print(f"the gateway keeps its configuration: {error}", file=sys.stderr, flush=True)
            self._seen = None
            self._stop.wait(_PAUSE_AFTER_ERROR)

    def _take(self, found: list[Route]) -> None:
        settings = self._settings()
        wanted = render(found, settings)
        if wanted == self._folder.files:
            self._routes, self._keys, self._refused, self._error = found, settings.keys, None, ""
        elif wanted != self._refused or time.monotonic() >= self._again:
            self._move(found, settings, wanted)
        self._tell()

    def _move(self, found: list[Route], settings: Settings, wanted: dict[str, str]) -> None:
        """Bring Envoy to another configuration, or keep the one that it has."""
        began = time.monotonic()
        try:
            # Processes that come and go change addresses alone, and a dead one should be left out at once.
            if _shape(wanted) != _shape(self._folder.files):
                self._folder.check(found, settings)
            self._folder.change(found, settings, self._admin)
        except RefusedError as error:
            self._refuse(wanted, str(error))
            return
        self._routes, self._keys, self._refused, self._error = found, settings.keys, None, ""
        self._tell()
        self._state.events.append(GATEWAY, "gateway.configured", _summary(found, time.monotonic() - began))

    def _refuse(self, wanted: dict[str, str], why: str) -> None:
        """Keep in mind what cannot be used now; say it once."""
        new, self._refused, self._error = wanted != self._refused, wanted, why
        self._again = time.monotonic() + _AGAIN
        if new:
            words = last_words(self._paths.service_log(GATEWAY), 3)
            self._state.events.append(GATEWAY, "gateway.refused", {"why": why, "log": words})

    def _tell(self) -> None:
        """Write down what is in use, as often as it takes."""
        now = (self._routes, self._keys, self._error)
        if now != self._told:
            note(self._state, *now)
            self._told = now

    def _settings(self) -> Settings:
        return Settings(self._port, self._log, keys(self._paths, self._state), self._tracing)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Take nothing new, answer what is there, and stop."""
        deadline = time.monotonic() + STOP_SECONDS * 0.8
        try:
            self._admin.stop_listening()
            while self._busy() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(_TURN)
        except OSError as error:
            print(f"the gateway ends at once: {error}", file=sys.stderr, flush=True)
        process.terminate()
        process.wait()

    def _busy(self) -> bool:
        """Whether an endpoint's listener has a request in flight."""
        active = self._admin.numbers(r"^http\..*\.downstream_rq_active$")
        own = (f"http.{GATEWAY}.", "http.admin.")
        return any(count for name, count in active.items() if not name.startswith(own))


def _shape(files: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name != CLUSTERS}


def _following_parent() -> Callable[[], None] | None:
    """For Envoy before it begins: it ends with this process, however that ends. Only Linux can."""
    if sys.platform != "linux":
        return None
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare


def _bound(found: list[Route]) -> set[int]:
    return {port for route in found for port in (route.port, route.grpc_port) if port}


def _summary(found: list[Route], took: float) -> dict[str, object]:
    weights = {route.endpoint: {str(number): percent for number, percent in route.weights.items()} for route in found}
    return {"weights": weights, "seconds": round(took, 3)}


def _tracing() -> Tracing | None:
    try:
        return tracing(os.environ)
    except ValueError as error:
        print(f"no spans: {error}", file=sys.stderr, flush=True)
        return None


def main() -> None:
    """Entry point: `python -m boxplat.releases.gateway.main --port N`, in the environment of a box."""
    parser = argparse.ArgumentParser(prog="boxplat.releases.gateway.main")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--no-access-log", action="store_true")
    flags = parser.parse_args()
    os.umask(0o077)
    paths = Paths(Path(os.environ["BOXPLAT_PROJECT"]))
    state = StateStore.open(paths)
    sys.exit(Gateway(paths, state, flags.port, not flags.no_access_log).run())


if __name__ == "__main__":
    main()
