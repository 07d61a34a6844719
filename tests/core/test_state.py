"""The state store: transactions with their events, several processes, damage, and older files."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import RunState, Service, State, Task
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import MIGRATIONS, Database

WEB = Service("web", ("serve", "${self.port}"), env={"A": "1"}, port=80)


def test_a_service_is_read_back_as_declared(state: StateStore) -> None:
    state.services.declare(WEB, True, "me")
    assert state.services.spec("web") == WEB
    state.services.declare(WEB, True, "me")
    assert [event.kind for event in state.events.all()] == ["service.declared"], "the same again is no news"


def test_asking_a_failed_service_to_run_makes_a_new_generation(state: StateStore) -> None:
    state.services.declare(WEB, True, "me")
    state.services.moved("web", State.FAILED, "it crashed", "service.failed")
    before = state.services.wanted()[0].generation
    state.services.set_desired("web", True, "me")
    assert state.services.wanted()[0].generation == before + 1


def test_since_moves_only_with_the_state(state: StateStore) -> None:
    state.services.declare(WEB, True, "me")
    state.services.moved("web", State.RUNNING, "", None, pid=1)
    first = state.services.all()[0].since
    state.services.moved("web", State.RUNNING, "still", None, restarts=1)
    assert state.services.all()[0].since == first


def test_a_run_that_is_over_stays_over(state: StateStore) -> None:
    run = state.runs.add("flows/a.py", "A", {"n": "1"}, {"resume": None}, "me")
    assert state.runs.claim(run.id, 10, 1.0)
    assert not state.runs.claim(run.id, 11, 1.0), "a second launcher must not start it again"
    assert state.runs.update(run.id, "run.cancelled", state=RunState.CANCELLED.value)
    assert not state.runs.update(run.id, "run.succeeded", state=RunState.SUCCEEDED.value)
    assert state.runs.get(run.id).state is RunState.CANCELLED
    assert state.runs.update(run.id, tracking_run_id="abc"), "what tracking was told later may still be noted"
    kinds = [event.kind for event in state.events.all(subject=f"run/{run.id}")]
    assert kinds == ["run.queued", "run.started", "run.cancelled"]


def test_a_state_made_afresh_never_hands_out_a_number_whose_folder_is_there(state: StateStore, project: Path) -> None:
    Paths(project).run_dir(41).mkdir()
    assert state.runs.add("flows/a.py", "A", {}).id == 42
    assert state.runs.add("flows/a.py", "A", {}).id == 43


def test_cancelling_a_queued_run_ends_it_at_once(state: StateStore) -> None:
    run = state.runs.add("flows/a.py", "A", {})
    state.runs.request_cancel(run.id, "me")
    assert state.runs.get(run.id).state is RunState.CANCELLED
    assert not state.runs.claim(run.id, 10, 1.0)


def test_tasks_keep_their_latest_attempt(state: StateStore) -> None:
    run = state.runs.add("flows/a.py", "A", {})
    for attempt, word in enumerate((RunState.FAILED, RunState.SUCCEEDED)):
        state.runs.upsert_task(Task(run.id, "fit", "2", attempt, word, 1.0 + attempt, index=3))
    assert [(t.attempt, t.state, t.index) for t in state.runs.tasks(run.id)] == [(1, RunState.SUCCEEDED, 3)]


def test_the_same_code_and_parameters_are_found_again(state: StateStore) -> None:
    run = state.runs.add("flows/a.py", "A", {}, {"fingerprint": "f1"})
    assert state.runs.done_before("f1") is None
    state.runs.claim(run.id, 1, 1.0)
    state.runs.update(run.id, state=RunState.SUCCEEDED.value)
    found = state.runs.done_before("f1")
    assert found is not None and found.id == run.id


def test_releases_count_per_endpoint_and_traffic_is_replaced_whole(state: StateStore) -> None:
    numbers = [state.releases.add(name, "b", None, None, None, "env", "me").number for name in ("x", "x", "y")]
    assert numbers == [1, 2, 1]
    state.releases.split("x", {1: 90, 2: 10}, "me")
    state.releases.split("x", {2: 100}, "me")
    assert state.releases.traffic("x") == {2: 100}
    assert state.releases.traffic("y") == {}


def test_a_failed_transaction_leaves_neither_change_nor_event(state: StateStore) -> None:
    with pytest.raises(RuntimeError), state.database.write() as tx:
        tx.execute("insert into meta (key, value) values ('a', 'b')")
        tx.event("x", "y.z")
        raise RuntimeError
    assert state.meta.get("a") is None and state.events.all() == []


def _append(root: str, count: int) -> None:
    store = StateStore.open(Paths(Path(root)))
    for number in range(count):
        store.events.append("worker", "test.happened", {"n": number})


def test_several_processes_open_a_new_state_and_lose_no_event(project: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_append, args=(str(project), 50)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(300)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    events = StateStore.open(Paths(project)).events.all(limit=1000)
    assert [event.id for event in events] == list(range(1, 151))


def test_a_reader_is_not_held_up_by_an_open_write(state: StateStore) -> None:
    state.events.append("a", "b.c")
    with state.database.write() as tx:
        tx.event("d", "e.f")
        seen: list[int] = []
        reader = threading.Thread(target=lambda: seen.append(len(state.events.all())))
        reader.start()
        reader.join(60)
        assert seen == [1]


def test_everything_is_private(state: StateStore, project: Path) -> None:
    state.events.append("a", "b.c")
    for path in [project / ".box", *(project / ".box").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_damaged_file_is_explained_and_never_deleted(project: Path) -> None:
    paths = Paths(project)
    paths.create()
    paths.database.write_bytes(b"this is not a database" * 100)
    with pytest.raises(BoxError) as caught:
        StateStore.open(paths)
    assert caught.value.code is ExitCode.PRECONDITION
    assert "never deletes" in caught.value.why and f"mv {paths.database}" in caught.value.fix
    assert paths.database.read_bytes().startswith(b"this is not")


def test_a_page_of_garbage_inside_is_explained(state: StateStore, project: Path) -> None:
    for number in range(2000):
        state.events.append("x", "y.z", {"n": number})
    state.close()
    path = Paths(project).database
    data = bytearray(path.read_bytes())
    data[8192:-4096] = os.urandom(len(data) - 12288)
    path.write_bytes(data)
    with pytest.raises(BoxError, match="cannot be read"):
        StateStore.open(Paths(project)).events.all(limit=5000)


@pytest.mark.parametrize("sign", ["%", "?", "$"])
def test_a_path_that_the_tools_would_misread_is_refused(tmp_path: Path, sign: str) -> None:
    root = tmp_path / f"a{sign}20b"
    root.mkdir()
    with pytest.raises(BoxError, match="the path of the project") as caught:
        StateStore.open(Paths(root))
    assert caught.value.code is ExitCode.USAGE and list(root.iterdir()) == []


def test_a_newer_file_is_refused(state: StateStore, project: Path) -> None:
    state.close()
    with sqlite3.connect(Paths(project).database) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(BoxError, match="newer boxplat"):
        StateStore.open(Paths(project))


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_a_file_of_every_older_version_opens(tmp_path: Path, version: int) -> None:
    path = tmp_path / "box.db"
    with sqlite3.connect(path) as db:
        for script in MIGRATIONS[:version]:
            db.executescript(script)
        db.execute("insert into meta values ('kept', 'yes')")
        db.execute(f"pragma user_version = {version}")
    with Database(path).read() as db:
        assert db.execute("select value from meta where key = 'kept'").fetchone()[0] == "yes"


@pytest.mark.parametrize("folder", [".box", "."])
def test_a_folder_without_permission_says_so(project: Path, folder: str) -> None:
    if os.geteuid() == 0:
        # Root may write anywhere; a file in the folder's place cannot be written into by anybody.
        (project / ".box").write_text("")
    else:
        (project / ".box").mkdir()
        (project / folder).chmod(0o500)
    with pytest.raises(BoxError) as caught:
        StateStore.open(Paths(project))
    (project / folder).chmod(0o700)
    assert caught.value.code is ExitCode.PRECONDITION and "cannot write" in caught.value.what
