"""A box that trained, released, split and answered, made without servers."""

from __future__ import annotations

import json
import time
from pathlib import Path

from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import code, spool
from boxplat.runs.outbox import spool_path
from boxplat.serving.log import annotation
from boxplat.serving.log.asking import folder_of
from boxplat.serving.log.journal import Journal
from boxplat.serving.log.limits import Limits

TRACKING = "0123456789abcdef0123456789abcdef"
DATA = {"training/training.parquet": "aa11bb22cc33dd44"}
GATES = {
    "auc": {"outcome": "passed", "rule": "at least the champion's", "found": "0.7761", "value": 0.7761},
    "latency": {"outcome": "refused", "rule": "p99 under 5 ms", "found": "7.2 ms", "value": 7.2},
}


def trained(state: StateStore, paths: Paths) -> Run:
    """A run that succeeded, with what its launcher and its steps have noted."""
    flow = paths.root / "flows" / "train.py"
    flow.parent.mkdir()
    flow.write_text("print('training')\n")
    run = state.runs.add("flows/train.py", "TrainFlow", {"seed": "1"}, {}, "me/cli")
    state.runs.claim(run.id, 1, 1.0)
    folder = paths.run_dir(run.id)
    folder.mkdir(parents=True)
    task = {"run": "17", "step": "start", "task": "1", "attempt": 0, "at": time.time()}
    notes = [
        {"kind": "run", "at": time.time(), "flow": "TrainFlow", "run": "17"},
        {"kind": "tags", "at": time.time(), "tags": {**code.tags(flow), "mlflow.source.git.commit": "c0ffee" * 6}},
        {"kind": "start", **task, "flow": "TrainFlow", "stack": [], "params": {"seed": "1", "epochs": "8"}},
        {"kind": "end", **task, "ok": True, "artifacts": {}, "digests": DATA, "feature_service": "delay_v1"},
    ]
    for note in notes:
        spool.append(spool_path(folder), note)
    state.runs.update(run.id, "run.succeeded", state=RunState.SUCCEEDED.value, ended=time.time())
    state.runs.update(run.id, tracking_run_id=TRACKING)
    return state.runs.get(run.id)


def released(state: StateStore, version: int = 3) -> int:
    """Another release of `delay`; its number."""
    made = state.releases.add(
        "delay",
        f"delay:c{version}",
        "delay",
        version,
        "delay_v1",
        "sha256:e",
        "me/cli",
        TRACKING,
        None,
        {"gates": GATES},
    )
    return made.number


def answered(paths: Path | Paths, release: int, ids: list[int | str], shadow: bool = False, status: int = 200) -> None:
    """Predictions of a release of `delay` in its log."""
    assert isinstance(paths, Paths)
    facts = {"endpoint": "delay", "release": str(release), "model_version": "3", "feature_service": "delay_v1"}
    log = Journal(folder_of(paths, "delay"), facts, Limits())
    for number in ids:
        slip = annotation.opened()
        annotation.annotate(keys={"carrier": "UA"}, features={"temp": 1.5}, predictions=0.75)
        annotation.close()
        log.note(number, time.time_ns(), 250_000, "predict", status, 1, b"{}", b"[0.75]", slip)
    log.flush()
    log._writer.end(0, 0)


def promoted(state: StateStore, version: int, kind: str = "model.promoted") -> None:
    with state.database.write() as tx:
        gates = [{"gate": name, "passed": one["outcome"] == "passed", **one} for name, one in GATES.items()]
        data = {
            "version": version,
            "alias": "champion",
            "former": version - 1,
            "forced": False,
            "reason": "",
            "gates": gates,
        }
        state.record.append(tx, "model/delay", kind, "me/cli", data)


def plain(value: object) -> object:
    """As --json has it."""
    from boxplat import render

    return json.loads(render.as_json(found=value))["found"]
