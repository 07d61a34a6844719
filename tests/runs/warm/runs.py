"""Running a flow as Metaflow alone does, and under the warm launcher, and what each left behind."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from boxplat.adapters.flows import EXTENSION

FLOWS = Path(__file__).parent / "flows"
# Of the extension itself, which every run with it has, warm or not.
_ELSEWHERE = {"_graph_info"}


@dataclasses.dataclass(frozen=True)
class Done:
    """A run that has ended: status, what it printed, its files and the extension's records."""

    root: Path
    flow: str
    run_id: str
    status: int
    output: str
    records: list[dict[str, Any]]

    @property
    def folder(self) -> Path:
        return self.root / ".metaflow" / self.flow / self.run_id

    def tasks(self) -> dict[str, Path]:
        """The folder of every task, by `step/number`."""
        folders = (path for path in self.folder.glob("*/*") if path.name[0] != "_" and path.parent.name[0] != "_")
        return {f"{path.parent.name}/{path.name}": path for path in folders}

    def keys(self) -> dict[str, dict[str, str]]:
        """Content-store keys of the artifacts of every attempt at a task."""
        found = {}
        for task, folder in self.tasks().items():
            for data in folder.glob("*.data.json"):
                objects = json.loads(data.read_text())["objects"]
                found[f"{task}/{data.name[0]}"] = {k: v for k, v in objects.items() if k not in _ELSEWHERE}
        return found

    def logs(self) -> dict[str, list[str]]:
        """The stored lines of every log, without their time stamps."""
        found = {}
        for task, folder in self.tasks().items():
            for log in folder.glob("*.log"):
                lines = [line.partition("]")[2] for line in log.read_text("utf-8", "replace").splitlines()]
                found[f"{task}/{log.name}"] = [self._plain(line) for line in lines]
        return found

    def files(self) -> dict[str, list[str]]:
        """What files a task has, and the fields of its metadata."""
        found = {}
        for task, folder in self.tasks().items():
            names = [path.name for path in folder.iterdir() if path.is_file()]
            fields = [re.sub(r"_\d{10,}", "", path.name) for path in (folder / "_meta").iterdir()]
            found[task] = sorted(names) + sorted(re.sub(r"_[0-9a-f]{24,}", "_CARD", field) for field in fields)
        return found

    def said(self) -> list[str]:
        """What the scheduler printed, in no order: tasks run at once."""
        return sorted(self._plain(line) for line in self.output.splitlines() if line.strip())

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["kind"] == kind]

    def _plain(self, line: str) -> str:
        line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ ", "", line)
        line = line.replace(self.run_id, "RUN").replace(str(self.root), "ROOT")
        return re.sub(r"\d{10,}", "N", re.sub(r"pid \d+", "pid N", line)).replace("\x1b[K", "")


def environment(root: Path, warm: bool | None) -> dict[str, str]:
    """The environment of a run; `warm` None: without the extension."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("METAFLOW", "BOXPLAT", "PYTHON"))}
    (root / ".metaflow").mkdir(parents=True, exist_ok=True)
    env |= {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", os.defpath)]),
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(root),
        "METAFLOW_CARD_LOCALROOT": str(root / "cards"),
        "METAFLOW_CLIENT_CACHE_PATH": str(root / "cache"),
        "METAFLOW_HOME": str(root / "home"),
        "METAFLOW_USER": "tester",
    }
    if warm is not None:
        env |= {"PYTHONPATH": str(EXTENSION), "BOXPLAT_SPOOL": str(root / "spool.jsonl"), "BOXPLAT_RUN_WARM": str(warm)}
    return env


def run(root: Path, file: Path, *words: str, warm: bool | None, command: str = "run", **more: str) -> Done:
    """Run a flow to its end, whatever that is."""
    flow = re.search(r"^class (\w+)\(FlowSpec\)", file.read_text(), re.MULTILINE)
    assert flow is not None
    env = environment(root, warm) | more
    done = subprocess.run(
        [sys.executable, file.name, "--no-pylint", command, *words],
        cwd=file.parent,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    latest = root / ".metaflow" / flow[1] / "latest_run"
    run_id = latest.read_text() if latest.exists() else ""
    return Done(root, flow[1], run_id, done.returncode, done.stdout + done.stderr, records(root))


def records(root: Path) -> list[dict[str, Any]]:
    """What the extension wrote, of all runs of this root."""
    spool = root / "spool.jsonl"
    return [json.loads(line) for line in spool.read_text().split("\n") if line] if spool.exists() else []
