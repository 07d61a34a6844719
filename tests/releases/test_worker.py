"""boxplat's worker beside `bentoml serve` on the same Bento, and its life on a listening socket that outlives it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from boxplat.core.config import Config
from boxplat.core.paths import Paths
from boxplat.serving.settings import Settings
from boxplat.serving.team.cores import usable_cores
from boxplat.serving.worker import apply_environment, assign_devices, empty_metrics, with_workers
from boxplat.serving.worker import main as worker_main

from .conftest import Listener, add, ask, until

REQUESTS = [
    ("/add", b'{"numbers": [1, 2.5]}'),
    ("/add", b'{"numbers": []}'),
    ("/add", b'{"numbers": "x"}'),
    ("/add", b"{}"),
    ("/add", b"nope"),
    ("/add", None),
    ("/nothing", b"{}"),
    ("/docs.json", None),
    ("/schema.json", None),
    ("/livez", None),
    ("/readyz", None),
]

# A worker that waits for the first request of a connection as long as a slow test may need to send it.
PATIENT = (
    "from boxplat.serving.http import draining; from boxplat.serving.worker import main; "
    "draining.UNREAD_SECONDS = 60.0; main()"
)


@pytest.mark.integration
@pytest.mark.parametrize(("path", "body"), REQUESTS)
def test_answers_equal_bentoml_serve(worker: str, stock: str, path: str, body: bytes | None) -> None:
    assert ask(worker + path, body) == ask(stock + path, body)


@pytest.mark.integration
def test_metrics_equal_bentoml_serve(worker: str, stock: str) -> None:
    """The same series with the same labels; the values are their own."""

    def series(url: str) -> set[str]:
        assert add(url, 1)[0] == 200
        status, kind, text = ask(f"{url}/metrics")
        assert status == 200 and kind.startswith("text/plain")
        lines = [line.rpartition(" ")[0] for line in text.decode().splitlines() if not line.startswith("#")]
        return {line for line in lines if 'endpoint="/add"' in line and 'http_response_code="200"' in line}

    def counted(url: str) -> set[str]:
        """A request is counted a moment after its answer was sent: one counter, then the other."""
        both = ("request_total{", "request_duration_seconds_sum{")
        return until("it has counted", lambda: found if all(map("".join(found := series(url)).count, both)) else None)

    assert counted(worker) == counted(stock)


@pytest.mark.integration
def test_declared_variable_is_there_when_the_module_is_imported(worker: str) -> None:
    assert json.loads(add(worker, 1)[2])["unit"] == "metre"


@pytest.mark.integration
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_requests_wait_for_the_next_worker(bento: Path, paths: Paths, config: Config, end: signal.Signals) -> None:
    listener = Listener(bento, paths, config)
    try:
        first = listener.start()
        assert json.loads(add(listener.url, 1, 1)[2])["sum"] == 2
        first.send_signal(end)
        assert first.wait(90) == -end
        with ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(add, listener.url, number, 1) for number in range(4)]
            second = listener.start()
            assert [json.loads(answer.result(180)[2])["sum"] for answer in waiting] == [1, 2, 3, 4]
        assert second.pid != first.pid

        # The first worker's request is not counted by the second.
        def counted() -> float:
            lines = ask(f"{listener.url}/metrics")[2].decode().splitlines()
            own = [line for line in lines if "request_total{" in line and 'endpoint="/add"' in line]
            return sum(float(line.split()[-1]) for line in own)

        # A request is counted a moment after its answer was sent.
        until("all are counted", lambda: counted() >= 4)
        assert counted() == 4
    finally:
        listener.close()


@pytest.mark.integration
def test_a_request_on_its_way_when_the_worker_stops_is_answered(bento: Path, paths: Paths, config: Config) -> None:
    """A client has connected, the worker is told to stop, and only then does the request arrive."""
    listener = Listener(bento, paths, config)
    try:
        first = listener.start("-c", PATIENT)
        assert add(listener.url, 1)[0] == 200
        slow = http.client.HTTPConnection("127.0.0.1", urlsplit(listener.url).port, timeout=90)
        slow.connect()
        assert add(listener.url, 1)[0] == 200, "connections are accepted in order, so the slow one is in"
        first.terminate()
        process = psutil.Process(first.pid)
        until("it listens no more", lambda: all(row.status != "LISTEN" for row in process.net_connections()))
        slow.request("POST", "/add", b'{"numbers": [2]}', {"Content-Type": "application/json"})
        assert slow.getresponse().status == 200
        assert first.wait(90) == -signal.SIGTERM
    finally:
        listener.close()


def test_variable_without_value_ends_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "mine")
    monkeypatch.delenv("MISSING", raising=False)
    declared = [SimpleNamespace(name="GIVEN", value="theirs", stage="all")]
    apply_environment([*declared, SimpleNamespace(name="MISSING", value="", stage="build")])
    with pytest.raises(SystemExit, match="MISSING"):
        apply_environment([*declared, SimpleNamespace(name="MISSING", value="", stage="runtime")])


@pytest.mark.parametrize(
    ("noted", "chosen", "shown"),
    [
        ({"gpu": 2, "workers": 3}, None, "0,1"),
        ({"gpu": 0.5}, None, "0"),
        ({"gpu": 1}, "3", "3"),
        ({"gpu": 1, "workers": "cpu_count"}, None, None),
        ({}, None, None),
    ],
)
def test_devices_are_those_of_bentoml(
    monkeypatch: pytest.MonkeyPatch, noted: dict[str, Any], chosen: str | None, shown: str | None
) -> None:
    """`bentoml serve` gives all workers of the service the same ones, and none where there is one worker per core."""
    monkeypatch.delenv("BENTOML_DISABLE_GPU_ALLOCATION", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", chosen or "")
    if chosen is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assign_devices(noted)
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == shown


def test_workers_are_the_settings_else_the_service_s() -> None:
    said = {"workers": 3}
    assert with_workers(Settings(workers=2), said).workers == 2
    assert with_workers(Settings(), said).workers == 3
    assert with_workers(Settings(), {}).workers == 1
    assert with_workers(Settings(), {"workers": "cpu_count"}).workers == usable_cores()


@pytest.mark.parametrize(("quota", "cores"), [("50000 100000", 1), ("max 100000", 2), ("900000 100000", 2)])
def test_cores_of_a_control_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == cores
    assert usable_cores(tmp_path / "none") == 2


@pytest.mark.parametrize(("said", "cores"), [("3", 3), ("0", 1), ("many", 2), ("", 2)])
def test_cores_of_one_pod_of_a_large_node(monkeypatch: pytest.MonkeyPatch, said: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    monkeypatch.setenv("BOXPLAT_CORES", said)
    assert usable_cores(Path("/nowhere")) == cores


def test_a_port_that_is_taken_ends_the_worker_with_words(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit, match=f"cannot listen at 127.0.0.1:{port}"):
            worker_main(["service:Any", "--port", port])
    with pytest.raises(SystemExit):
        worker_main(["service:Any"])
    assert "one of --fd and --port" in capsys.readouterr().err


def test_metrics_of_an_earlier_process_are_dropped(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    empty_metrics(folder)
    (folder / "counter_1.db").write_bytes(b"x")
    empty_metrics(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.integration
def test_door_imports_no_bentoml() -> None:
    """Declaring and deploying in the CLI must not cost BentoML's import."""
    code = "import sys, boxplat.releases, boxplat.releases.models; sys.exit('bentoml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
