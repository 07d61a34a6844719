"""Each check of storage, ports and project, provoked with a real cause."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from boxplat.core.config import load
from boxplat.core.model import Service, State
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.doctor import live, network, project, schedules, storage
from boxplat.doctor.probe import Site
from boxplat.supervisor.lock import Lock

Build = Callable[..., Site]


def test_a_folder_that_cannot_be_written(site: Build) -> None:
    """Not even root makes files in /proc."""
    found = storage.writable(site(paths=Paths(Path("/proc"))))
    assert found.state == "fail"
    assert "/proc cannot be written" in found.detail
    assert "/proc" in found.fix


def test_a_folder_that_is_not_there(site: Build, tmp_path: Path) -> None:
    paths = site().project
    found = storage.writable(site(paths=replace(paths, root=tmp_path / "gone")))
    assert found.state == "fail"
    assert "No such file" in found.detail


def test_state_that_others_may_read(site: Build) -> None:
    here = site()
    assert storage.private(here).state == "skip"
    here.project.create()
    assert storage.private(here).state == "ok"
    here.project.state.chmod(0o755)
    found = storage.private(here)
    assert found.state == "fail"
    subprocess.run(found.fix, shell=True, check=True)
    assert storage.private(here).state == "ok", "the fix must mend it"


@pytest.mark.parametrize(("found", "state"), [((3, 34, 1), "fail"), ((3, 35, 0), "ok"), ((3, 40, 1), "ok")])
def test_sqlite_version(found: tuple[int, ...], state: str) -> None:
    assert storage.judge_sqlite(found).state == state


def test_write_ahead_logging(site: Build) -> None:
    here = site()
    here.project.create()
    before = sorted(here.project.state.iterdir())
    assert storage.wal(here).state == "ok"
    assert sorted(here.project.state.iterdir()) == before, "the check must leave nothing behind"


def test_a_network_file_system(site: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "file_system", lambda _: "nfs4")
    found = storage.wal(site())
    assert found.state == "fail"
    assert "nfs4" in found.detail


def test_write_ahead_logging_where_sqlite_refuses_it() -> None:
    """A database in memory is the one place where SQLite always refuses."""
    assert storage.try_wal(Path(":memory:")) == "SQLite refuses it"


def test_the_file_system_of_a_path() -> None:
    assert storage.file_system(Path("/proc/self")) == "proc"


def make_database(file: Path, rows: int = 5000) -> None:
    with sqlite3.connect(file) as connection:
        connection.execute("create table t (a integer primary key, b text)")
        connection.execute("create index t_b on t (b)")
        connection.executemany("insert into t (b) values (?)", ((f"text {n}" * 4,) for n in range(rows)))
    connection.close()


def test_a_whole_state_database(site: Build) -> None:
    here = site()
    assert storage.state_whole(here).state == "skip"
    StateStore.open(here.project).close()
    assert storage.state_whole(here).state == "ok"


@pytest.mark.parametrize("damage", ["no database", "pages overwritten", "cut off"])
def test_a_damaged_database_is_told_and_left_alone(site: Build, damage: str) -> None:
    here = site()
    here.project.create()
    file = here.project.database
    make_database(file)
    whole = file.read_bytes()
    damaged = {
        "no database": b"this is a text" * 1000,
        "pages overwritten": whole[:8192] + b"\xff" * 8192 + whole[16384:],
        "cut off": whole[: len(whole) // 2],
    }[damage]
    file.write_bytes(damaged)
    found = storage.state_whole(here)
    assert found.state == "fail"
    assert "box.db.damaged" in found.fix
    assert file.read_bytes() == damaged


def test_a_database_too_large_to_check_is_skipped_and_not_failed(site: Build) -> None:
    here = site()
    here.project.create()
    here.project.database.touch()
    os.truncate(here.project.database, storage.LARGEST + 1)
    assert storage.state_whole(here).state == "skip"


def test_a_damaged_tracking_database(site: Build) -> None:
    here = site()
    here.project.create()
    (here.project.mlflow / "mlflow.db").write_bytes(b"nonsense" * 4096)
    assert storage.tracking_whole(here).state == "fail"


def test_a_writer_at_work_does_not_disturb_the_check(site: Build) -> None:
    here = site()
    state = StateStore.open(here.project)
    with state.database.write() as tx:
        tx.event("test", "test.written")
        assert storage.state_whole(here).state == "ok"
    state.close()


def listening(port: int = 0) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def with_port(site: Build, port: int) -> Site:
    here = site()
    here.project.config.write_text(f"[tracking]\nport = {port}\n")
    return site(config=load(here.project.config, {}))


def test_loopback(site: Build) -> None:
    assert network.loopback(site()).state == "ok"


def test_loopback_that_is_down(tmp_path: Path) -> None:
    """A fresh network namespace has its loopback down."""
    code = "from boxplat.doctor.network import loopback; print(loopback(None).state)"
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "unshare" in done.stderr:
        pytest.skip("no namespaces here")
    assert done.stdout.strip() == "fail"


def test_a_preferred_port_that_is_taken(site: Build) -> None:
    with listening() as server:
        port = server.getsockname()[1]
        found = network.ports(with_port(site, port))
        assert found.state == "warn"
        assert f"{port} (tracking)" in found.detail
        assert str(port) in found.fix
    assert network.ports(with_port(site, port)).state == "ok"


def test_a_port_that_is_ours(site: Build) -> None:
    with listening() as server:
        port = server.getsockname()[1]
        here = with_port(site, port)
        state = StateStore.open(here.project)
        state.services.declare(Service("tracking", ("true",)), True, "test")
        state.services.moved("tracking", State.RUNNING, pid=os.getpid(), port=port)
        assert network.ports(here).state == "ok"
        state.services.moved("tracking", State.RUNNING, pid=2**22 + 1, port=port)
        assert network.ports(here).state == "warn", "its process is gone: somebody else listens"
        lock = Lock(here.project.lock)
        assert lock.acquire()
        assert network.ports(here).state == "ok", "the supervisor holds the socket between two processes"
        lock.release()
        state.close()


def test_the_check_makes_no_state(site: Build) -> None:
    with listening() as server:
        here = with_port(site, server.getsockname()[1])
        assert network.ports(here).state == "warn"
        assert not here.project.state.exists()
        here.project.create()
        here.project.database.touch()
        assert network.ports(here).state == "warn"
        assert here.project.database.stat().st_size == 0


def test_the_check_mends_no_modes(site: Build) -> None:
    """Checks run side by side: one that mends a mode would hide it from the one that looks for it."""
    here = site()
    StateStore.open(here.project).close()
    here.project.state.chmod(0o755)
    network.ports(here)
    assert storage.private(here).state == "fail"


def test_ports_with_a_damaged_state(site: Build) -> None:
    with listening() as server:
        here = with_port(site, server.getsockname()[1])
        here.project.create()
        here.project.database.write_bytes(b"nonsense" * 1024)
        assert network.ports(here).state == "warn"


@pytest.mark.parametrize(
    ("environ", "state"),
    [
        ({}, "ok"),
        ({"HTTP_PROXY": "http://proxy:3128"}, "warn"),
        ({"http_proxy": "http://proxy:3128", "NO_PROXY": "localhost,127.0.0.1"}, "ok"),
        ({"all_proxy": "socks5://proxy:1080", "no_proxy": "example.org, 127.0.0.0/8"}, "ok"),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,10.0.0.0/8"}, "warn"),
        ({"HTTP_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, "ok"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, "ok"),
        ({"HTTP_PROXY": ""}, "ok"),
    ],
)
def test_a_proxy_that_would_get_loopback_requests(site: Build, environ: dict[str, str], state: str) -> None:
    assert network.proxy(site(environ=environ)).state == state


def test_settings_are_examined_with_their_environment(site: Build) -> None:
    assert project.settings(site()).state == "ok"
    found = project.settings(site(environ={"BOXPLAT_TRACKING_PORT": "many"}))
    assert found.state == "fail"


def test_a_flow_that_does_not_parse(site: Build) -> None:
    here = site()
    assert project.flows(here).state == "ok"
    bad = here.folder / "flows" / "bad.py"
    bad.write_text("x = 1\ndef broken(:\n")
    found = project.flows(here)
    assert found.state == "fail"
    assert f"{bad}:2:" in found.detail
    bad.write_bytes(b"x = '\0'\n")
    assert project.flows(here).state == "fail"


def test_flows_are_never_run(site: Build, tmp_path: Path) -> None:
    here = site()
    (here.folder / "flows" / "train.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert project.flows(here).state == "ok"
    assert not (tmp_path / "ran").exists()


def test_no_flows(site: Build) -> None:
    here = site()
    (here.folder / "flows" / "train.py").unlink()
    assert project.flows(here).state == "warn"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("feature_store.yaml", None, "missing"),
        ("feature_store.yaml", "project: [", "no YAML"),
        ("feature_store.yaml", "project: demo\n", "lacks registry, provider"),
        ("feature_store.yaml", "- a list\n", "lacks project"),
        ("views.py", "def (", "views.py:1"),
    ],
)
def test_a_broken_feature_repository(site: Build, name: str, text: str | None, said: str) -> None:
    here = site()
    assert project.feature_repo(here).state == "ok"
    file = here.folder / "feature_repo" / name
    file.unlink() if text is None else file.write_text(text)
    found = project.feature_repo(here)
    assert found.state == "fail"
    assert said in found.detail


def test_bentos(site: Build) -> None:
    here = site()
    assert project.bentos(here).state == "ok"
    (here.folder / "bentos" / "__pycache__").mkdir()
    assert project.bentos(here).state == "ok"
    (here.folder / "bentos" / "delay" / "service.py").write_text("class\n")
    assert project.bentos(here).state == "fail"
    (here.folder / "bentos" / "delay" / "service.py").unlink()
    assert "no service.py" in project.bentos(here).detail


def test_an_endpoint_whose_folder_is_missing(site: Build) -> None:
    here = site()
    here.project.config.write_text('[endpoints.risk]\nbento = "bentos/risk"\n')
    found = project.bentos(site(config=load(here.project.config, {})))
    assert found.state == "fail"
    assert "bentos/risk" in found.detail


def test_limits_of_an_endpoint_that_is_none(site: Build) -> None:
    here = site()
    here.project.config.write_text(
        "[endpoints.risk]\n[guards.delay]\np99_ms = 50\n[outcomes.risk]\n[guards.dealy]\np99_ms = 9\n"
    )
    found = live.guards(site(config=load(here.project.config, {})))
    assert found.state == "warn"
    assert found.detail == "of no endpoint: [guards.dealy] (did you mean 'delay'?)"
    assert live.guards(replace(here, config=None)).state == "skip"


def test_a_schedule_that_cannot_be_honoured(site: Build) -> None:
    here = site()
    assert schedules.starts(here).state == "ok"
    flow = here.folder / "flows" / "train.py"
    flow.write_text(
        "from metaflow import FlowSpec, schedule, step\n@schedule(cron='0 9 * * 7')\nclass AFlow(FlowSpec):\n"
        "    @step\n    def start(self): pass\n"
    )
    found = schedules.starts(here)
    assert found.state == "fail" and "AFlow" in found.detail and "Sunday is 0" in found.detail
    assert schedules.starts(replace(here, config=None)).state == "skip"
