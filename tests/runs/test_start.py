"""What `box run` refuses before anything starts, and what it queues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.runs import cancel, start, wait

TINY = (Path(__file__).parent / "flows" / "tiny.py").read_text()


@pytest.fixture
def queue(project: Path, state: StateStore) -> Any:
    (project / "flows").mkdir()
    (project / "flows" / "tiny.py").write_text(TINY)

    def queued(flow: str = "flows/tiny.py", params: dict[str, str] | None = None, **options: Any) -> Run:
        return start(state, Paths(project), Config(), flow, params or {}, options, "test")

    return queued


def refused(queue: Any, *args: Any, **options: Any) -> BoxError:
    with pytest.raises(BoxError) as caught:
        queue(*args, **options)
    return caught.value


def test_queues_the_class_name_and_only_given_options(queue: Any, project: Path) -> None:
    run = queue(str(project / "flows" / "tiny.py"), {"count": "2"}, resume=None, tags=[], max_workers=3)
    assert (run.flow, run.name, run.state) == ("flows/tiny.py", "TinyFlow", RunState.QUEUED)
    assert (run.params, run.options["max_workers"]) == ({"count": "2"}, 3)
    assert run.options.keys() == {"max_workers", "fingerprint", "first"}


def test_a_missing_file_names_the_nearest(queue: Any, state: StateStore) -> None:
    error = refused(queue, "flows/tinny.py")
    assert error.code == ExitCode.NOT_FOUND
    assert "did you mean 'flows/tiny.py'" in error.what
    assert state.runs.all() == []


def test_an_unknown_parameter_names_the_nearest(queue: Any, state: StateStore) -> None:
    error = refused(queue, params={"cuont": "1"})
    assert error.code == ExitCode.USAGE
    assert "did you mean 'count'" in error.what
    assert state.runs.all() == []


def test_a_parameter_that_may_come_from_elsewhere_is_left_to_metaflow(queue: Any, project: Path) -> None:
    text = TINY.replace("class TinyFlow", "from metaflow import conda_base as mine\n\n\n@mine\nclass TinyFlow")
    (project / "flows" / "open.py").write_text(text)
    assert queue("flows/open.py", {"injected": "1"}).params == {"injected": "1"}


def test_a_file_that_is_no_flow(queue: Any, project: Path) -> None:
    (project / "flows" / "plain.py").write_text("print('hello')\n")
    assert refused(queue, "flows/plain.py").code == ExitCode.USAGE


@pytest.mark.parametrize(
    ("change", "options", "params", "why"),
    [
        ({}, {}, {}, "not over"),
        ({"state": "failed"}, {}, {}, "never came to its first step"),
        ({"pathspec": "TinyFlow/1", "state": "failed"}, {}, {"count": "2"}, "keeps the parameters"),
        ({"pathspec": "TinyFlow/1", "state": "failed"}, {"step": "strat"}, {}, "did you mean 'start'"),
    ],
)
def test_what_cannot_be_resumed(
    queue: Any, state: StateStore, change: Any, options: Any, params: dict[str, str], why: str
) -> None:
    origin = queue()
    state.runs.update(origin.id, pathspec="TinyFlow/1") if not change else state.runs.update(origin.id, **change)
    error = refused(queue, params=params, resume=origin.id, **options)
    assert error.code == ExitCode.USAGE
    assert why in error.why


def test_resuming_an_unknown_run(queue: Any) -> None:
    assert refused(queue, resume=99).code == ExitCode.NOT_FOUND


def test_waiting_is_bounded(queue: Any, state: StateStore, project: Path) -> None:
    run = queue()
    with pytest.raises(BoxError) as caught:
        wait(state, Paths(project), run.id, timeout=0.0)
    assert caught.value.code == ExitCode.NO_BOX, "nobody is there to start it"
    assert state.runs.claim(run.id, 1, 1.0)
    with pytest.raises(BoxError) as caught:
        wait(state, Paths(project), run.id, timeout=0.0)
    assert caught.value.code == ExitCode.TIMED_OUT
    state.runs.update(run.id, state="succeeded")
    assert wait(state, Paths(project), run.id, timeout=0.0).state is RunState.SUCCEEDED


def test_cancelling(queue: Any, state: StateStore) -> None:
    run = queue()
    assert cancel(state, run.id, "test").state is RunState.CANCELLED
    with pytest.raises(BoxError, match="over already"):
        cancel(state, run.id, "test")
