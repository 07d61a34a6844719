"""Killed at any point, box gc leaves a box in which all that was kept can be read, and the next one finishes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from boxplat.adapters import tracking_store
from boxplat.adapters.flows_store import FlowStore
from boxplat.box import Box
from boxplat.core.paths import Paths
from boxplat.gc import freeing, verb
from tests.gc.conftest import Loader
from tests.gc.filling import Filling

pytestmark = pytest.mark.integration


def killed(paths: Paths, module: object, name: str, call: int) -> None:
    """Run box gc in a process that ends by kill -9 when it calls a function for the n-th time."""
    child = os.fork()
    if child == 0:
        real: Callable[..., object] = getattr(module, name)
        left = [call]

        def dying(*arguments: object, **options: object) -> object:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **options)

        setattr(module, name, dying)
        try:
            Box(paths.root, by="test").gc(older_than="30d", keep=2)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{name} was not called {call} times"


def test_a_kill_at_any_point_is_finished_by_the_next_one(filling: Filling, loads: Loader) -> None:
    runs = [filling.run(60 - number, shared=f"{number % 3}".encode() * 9_000) for number in range(8)]
    paths, kept = filling.paths, runs[-2:]
    filling.registered(kept[0], alias="champion")
    filling.bento("c0", 90)
    filling.bento("c1", 1)
    filling.state.close()
    # Marked, and nothing is gone; in the middle of the folders; all gone but the Bento; before the blobs are swept.
    killed(paths, verb.freeing, "finish", 2)
    assert len(filling.state.disposal.unfinished()) == 7
    filling.state.close()
    killed(paths, freeing, "remove", 4)
    filling.state.close()
    killed(paths, freeing.bentos_store, "remove", 1)
    filling.state.close()
    killed(paths, verb.freeing, "sweep", 1)
    done = Box(paths.root, by="test").gc(keep=2)
    assert done.left == ()
    assert filling.state.disposal.unfinished() == []
    assert filling.state.disposal.runs() == {run.id for run in runs[:-2]}
    loads(paths, [str(run.pathspec) for run in kept])
    store = FlowStore(paths.metaflow)
    assert set(store.blobs("MakesFlow")) == {blob for run in store.runs("MakesFlow") for blob in run.blobs}
    tracked = tracking_store.read(paths.mlflow)
    assert {run.id for run in tracked.runs} == {run.tracking_run_id for run in kept}
    assert not _rubbish(paths.state)
    assert [path.name for path in (paths.bentoml / "bentos" / "delay").iterdir() if path.is_dir()] == ["c1"]


def _rubbish(state: Path) -> list[str]:
    return [path.name for path in (state / "trash").iterdir()] if (state / "trash").exists() else []
