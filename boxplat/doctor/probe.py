"""What a check is made of, and how all of them are run: at once, each in a thread with a time limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxplat.core.config import Config
from boxplat.core.model import Check
from boxplat.core.paths import Paths

GROUPS = {"SYS": "machine", "PY": "python", "GPU": "gpu", "NET": "ports", "DSK": "storage", "PRJ": "project"}


@dataclass(frozen=True, slots=True)
class Site:
    """What is examined. `paths` is None outside a project; `config` is None there and when it cannot be read."""

    paths: Paths | None
    config: Config | None
    environ: Mapping[str, str]
    constraints: Path
    distribution: str = "boxplat"

    @property
    def folder(self) -> Path:
        """The project, or the current folder outside of one."""
        return self.paths.root if self.paths else Path.cwd()

    @property
    def project(self) -> Paths:
        """The project, for a probe that needs one."""
        if self.paths is None:
            raise ValueError("not in a project")
        return self.paths


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw; `fix` is a command."""

    state: str
    detail: str
    fix: str = ""


def ok(detail: str) -> Finding:
    return Finding("ok", detail)


def warn(detail: str, fix: str) -> Finding:
    """Works, but slower or with less than it could."""
    return Finding("warn", detail, fix)


def fail(detail: str, fix: str) -> Finding:
    """Something of boxplat will not work."""
    return Finding("fail", detail, fix)


def skip(detail: str) -> Finding:
    return Finding("skip", detail)


@dataclass(frozen=True, slots=True)
class Probe:
    """One check. Its id is stable: documents and scripts name it."""

    id: str
    title: str
    look: Callable[[Site], Finding]
    needs_project: bool = False
    seconds: float = 5.0

    @property
    def group(self) -> str:
        return GROUPS[self.id.split("-")[1]]

    def check(self, finding: Finding) -> Check:
        return Check(self.id, self.group, self.title, finding.state, finding.detail, finding.fix)


def examine(probes: Sequence[Probe], site: Site, seconds: float = 9.0) -> list[Check]:
    """Run all probes side by side; in all at most `seconds`.

    A probe that breaks or does not end in time is a failed check, never an exception.
    """
    begin = time.monotonic()
    running = [(probe, *_start(probe, site)) for probe in probes]
    found = []
    for probe, thread, results in running:
        limit = min(probe.seconds, seconds)
        thread.join(max(0.0, begin + limit - time.monotonic()))
        late = fail(
            f"no answer within {limit:.0f} s", "box doctor   (again; a disk or driver that hangs needs a reboot)"
        )
        found.append(probe.check(results[0] if results else late))
    return found


def _start(probe: Probe, site: Site) -> tuple[threading.Thread, list[Finding]]:
    results: list[Finding] = []
    thread = threading.Thread(target=lambda: results.append(_look(probe, site)), name=probe.id, daemon=True)
    thread.start()
    return thread, results


def _look(probe: Probe, site: Site) -> Finding:
    if probe.needs_project and site.paths is None:
        return skip("not in a project")
    try:
        return probe.look(site)
    except Exception as error:
        return fail(f"the check itself broke: {type(error).__name__}: {error}", "box doctor --json   (and report it)")
