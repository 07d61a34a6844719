"""What exported servers answer, against the local ones: asked while these run, and as the prediction log has it."""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.export_config import VerifyConfig
from boxplat.export.verify.answers import Local, answers
from boxplat.export.verify.compare import (
    CLOSE,
    DIFFERENT,
    EQUAL,
    IDENTICAL,
    UNCOMPARED,
    VARIES,
    Finding,
    Served,
    answered,
)
from boxplat.export.verify.network import Network
from boxplat.export.verify.pods import Processes, World
from boxplat.export.verify.servers import served
from boxplat.export.verify.vectors import judged
from boxplat.serving.log import reading

ADDER = """
import bentoml

@bentoml.service
class Adder:
    @bentoml.api
    def add(self, a: float = 1.0, b: float = 2.0) -> dict:
        return {{"sum": a + b + {off}}}

    @bentoml.api
    def name(self, text: str) -> str:
        return "of " + text
"""
PORT = 8080


def deployment(name: str, *flags: str) -> dict[str, Any]:
    """As an export has it for release 7."""
    command = ["python", "-m", "boxplat.serving.worker", "service:Adder", "--host", "0.0.0.0", "--port", str(PORT)]
    env = {"HOME": "/tmp", "PROMETHEUS_MULTIPROC_DIR": "/tmp/metrics", "BOXPLAT_RELEASE": "7"}
    container = {
        "name": "adder",
        "command": [*command, *flags],
        "workingDir": "/app/bento",
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}},
    }
    return {"metadata": {"name": name}, "spec": {"template": {"metadata": {}, "spec": {"containers": [container]}}}}


def world(folder: Path, name: str, off: float, log: Path | None = None) -> World:
    """A place for one server, whose image holds a service that is `off` by so much."""
    (folder / name).mkdir(parents=True)
    (folder / name / "service.py").write_text(ADDER.format(off=off))
    network = Network()
    return World(
        folder=folder / f"{name}-work",
        images={"/app/bento": folder / name},
        secrets={},
        shared={"/log": log} if log else {},
        hosts={"local": network.address(), "adder": network.address()},
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    """The same service while the local one runs, and another one after it."""
    folder = tmp_path_factory.mktemp("answers")
    log = folder / "log"
    log.mkdir()
    ours, same = world(folder, "ours", 0.0, log), world(folder, "same", 0.0)
    with served(Processes(ours, 1), deployment("local", "--log", "/log"), ours.hosts["local"], "local") as (at, port):
        for path, asked in (("add", {"a": 2.5}), ("name", {"text": "x"})):
            connection = http.client.HTTPConnection(at, port, timeout=120)
            connection.request("POST", f"/{path}", json.dumps(asked), {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200
            connection.close()
        # The log is written beside the answers, and its server is killed in the end.
        deadline = time.monotonic() + 60
        while reading.query(log, "select id from requests").num_rows < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        local = Local("adder", 7, f"http://{at}:{port}", log)
        running = answers(deployment("adder"), local, VerifyConfig(), same)
    other, declared = world(folder, "other", 1e-9), VerifyConfig({"add": 1e-6})
    stopped = Local("adder", 7, "", log)
    return {"running": running, "recorded": answers(deployment("adder"), stopped, declared, other)}


@pytest.mark.integration
def test_a_running_release_is_asked_what_was_recorded_and_the_examples(found: dict[str, Served]) -> None:
    assert found["running"].local == "release 7, running"
    # `name` has no example; the example of `add` is its defaults.
    assert sorted(one.task for one in found["running"].findings) == ["add", "add", "name"]
    assert {one.verdict for one in found["running"].findings} == {IDENTICAL}


@pytest.mark.integration
def test_recorded_answers_stand_for_a_release_that_does_not_run(found: dict[str, Served]) -> None:
    assert found["recorded"].local == "release 7, recorded"
    verdicts = {(one.task, one.name == "add"): one.verdict for one in found["recorded"].findings}
    assert verdicts == {("add", False): CLOSE, ("name", False): IDENTICAL, ("add", True): UNCOMPARED}


def test_a_pod_that_does_not_start_is_a_difference(tmp_path: Path) -> None:
    broken = deployment("adder")
    broken["spec"]["template"]["spec"]["containers"][0]["command"] = ["sh", "-c", "echo the reason; exit 3"]
    here = world(tmp_path, "broken", 0.0)
    (one,) = answers(broken, Local("adder", 7, "", tmp_path), VerifyConfig(), here).findings
    assert (one.verdict, "the reason" in one.why) == (DIFFERENT, True)


def test_answers_of_other_bytes_are_judged_by_their_values() -> None:
    finding = Finding("add", "1", DIFFERENT)
    assert answered(finding, {"a": 1, "b": 2}, {"b": 2, "a": 1}, VerifyConfig()).verdict == EQUAL
    assert answered(finding, {"a": 1.0}, {"a": 1.1}, VerifyConfig({"add": 1e-3})).verdict == DIFFERENT
    assert answered(finding, {"at": 1, "a": 2}, {"at": 3, "a": 2}, VerifyConfig(varies=("add.at",))).verdict == VARIES


def test_vectors_are_the_same_value_by_value() -> None:
    """Feast's JSON has no NaN and few digits of single-precision numbers; an unknown key is no null."""
    rows = [
        {
            "keys": {"k": at},
            "features": {"v__exact": at, "v__single": 0.10000000149011612, "v__none": math.nan, "v__other": 1.0},
            "status": {"v__exact": "PRESENT", "v__single": "PRESENT", "v__none": "PRESENT", "v__other": "PRESENT"},
        }
        for at in range(2)
    ]
    stale = {"v__stale": None, "v__lost": None}
    for row in rows:
        row["features"] |= stale
        row["status"] |= {"v__stale": "OUTSIDE_MAX_AGE", "v__lost": "NOT_FOUND"}
    names = list(rows[0]["features"])
    columns = {"v__exact": [0, 1], "v__single": [0.1, 0.1], "v__none": [None, None], "v__other": [1.0, 1.5]}
    columns |= {"v__stale": [3, 3], "v__lost": [None, None]}
    results = [{"values": columns[name], "statuses": ["PRESENT"] * 2} for name in names]
    answer = {"metadata": {"feature_names": names}, "results": results}
    verdicts = {one.name: one.verdict for one in judged("s", rows, answer)}
    assert verdicts == {
        "v__exact": IDENTICAL,
        "v__single": EQUAL,
        "v__none": EQUAL,
        "v__other": DIFFERENT,
        "v__stale": UNCOMPARED,
        "v__lost": DIFFERENT,
    }


def test_a_verification_that_is_told_to_end_leaves_no_folder() -> None:
    code = (
        "import shutil, time; from boxplat.export.verify.ending import scratch\n"
        "with scratch('boxplat-verify-test-') as folder:\n"
        "    try:\n        print(folder, flush=True)\n        while True: time.sleep(0.05)\n"
        "    finally:\n        shutil.rmtree(folder)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        folder = Path(child.stdout.readline().strip())
        assert folder.is_dir()
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(60) == 128 + signal.SIGTERM
    assert not folder.exists()
