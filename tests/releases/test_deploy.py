"""Deploying, changing, breaking and removing endpoints under a real supervisor with a real tracking server."""

from __future__ import annotations

import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from boxplat.box import Box
from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import Service, ServiceStatus, State
from boxplat.core.paths import Paths
from boxplat.core.replicas import GATEWAY
from boxplat.core.state import StateStore
from boxplat.releases.deployment import undeploy
from boxplat.releases.endpoints import replicas_of
from boxplat.releases.environment import environment_digest
from boxplat.releases.gateway.applied import note
from boxplat.releases.gateway.model import Route, Target
from boxplat.releases.prediction import predict
from tests.serving.load import Load, kill_at_work, under_load

from .conftest import ADDER, until, write_bento

SETTINGS = """
[project]
name = "deploys"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
model = "toy"
port = 0
watch = ""
warmup = 0
[endpoints.fragile]
bento = "bentos/fragile"
port = 0
watch = ""
warmup = 0
[endpoints.wanting]
bento = "bentos/adder"
model = "toy"
alias = "champoin"
[endpoints.modelless]
bento = "bentos/adder"
model = "tyo"
"""
BROKEN = ADDER.replace(
    "class Adder:", "class Adder:\n    def __init__(self):\n        raise ValueError('no weights')\n"
)


def post(url: str, path: str, **body: Any) -> dict[str, Any]:
    data, kind = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/2.0/mlflow/{path}", data, kind)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)


def register(url: str, new: bool = False) -> int:
    """A new version of the model `toy` (made first where it is `new`), as champion."""
    if new:
        post(url, "registered-models/create", name="toy")
    run = post(url, "runs/create", experiment_id="0", start_time=0)["run"]["info"]
    metrics = [{"key": "auc", "value": 0.75, "timestamp": 0, "step": 0}]
    post(url, "runs/log-batch", run_id=run["run_id"], metrics=metrics)
    made = post(url, "model-versions/create", name="toy", source=f"{run['artifact_uri']}/m", run_id=run["run_id"])
    version = int(made["model_version"]["version"])
    post(url, "registered-models/alias", name="toy", alias="champion", version=str(version))
    return version


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("deploys")
    (root / "boxplat.toml").write_text(SETTINGS)
    write_bento(root / "bentos" / "adder")
    write_bento(root / "bentos" / "fragile")
    found = Box(root, by="test")
    found.up(detach=True)
    try:
        found.wait(timeout=300)
        register(tracking(found), new=True)
        yield found
    finally:
        found.down()


@pytest.fixture(scope="module")
def adder(box: Box) -> Box:
    box.deploy("adder")
    return box


def tracking(box: Box) -> str:
    return next(str(status.url) for status in box.state.services.all() if status.name == "tracking")


def serving(box: Box, name: str = "adder") -> dict[str, Any]:
    """What the process behind an endpoint says of itself."""
    return predict(box.state, box.paths, box.settings, name, {}, route="serving")


def processes(box: Box, name: str) -> list[ServiceStatus]:
    return replicas_of(name, box.state.services.all())


def live(box: Box, name: str) -> tuple[dict[int, int], dict[int, str]]:
    states = {release.number: release.state for release in box.state.releases.all(name)}
    return box.state.releases.traffic(name), states


@pytest.mark.integration
def test_release_pins_what_the_alias_meant(adder: Box) -> None:
    release = adder.state.releases.all("adder")[-1]
    assert (release.number, release.model, release.model_version) == (1, "toy", 1)
    assert release.environment == environment_digest() and release.created_by == "test"
    said = serving(adder)
    assert said["BOXPLAT_MODEL_URI"] == "models:/toy/1" and said["BOXPLAT_RELEASE"] == "1"
    assert said["MLFLOW_TRACKING_URI"] == tracking(adder)


@pytest.mark.integration
def test_deploying_the_same_again_does_nothing(adder: Box) -> None:
    before, told = serving(adder)["pid"], []
    releases, event = adder.state.releases.all(), adder.events(limit=1)[-1].id
    release = adder.deploy("adder", told=told.append)
    assert told == [f"nothing changed: release {release.number} of adder is live and healthy"]
    assert serving(adder)["pid"] == before and adder.state.releases.all() == releases
    assert adder.events(after=event) == []


@pytest.mark.integration
def test_new_model_version_makes_a_release_and_requests_wait(adder: Box) -> None:
    """The alias moves, the process changes, and a client that keeps asking gets an answer every time."""
    number = max(adder.state.releases.traffic("adder")) + 1
    version, done, answers, failures = register(tracking(adder)), threading.Event(), set(), []

    def keep_asking() -> None:
        asking = Box(adder.root)
        while not done.is_set():
            try:
                answers.add(serving(asking)["BOXPLAT_RELEASE"])
            except BoxError as error:
                failures.append(str(error))

    client = threading.Thread(target=keep_asking)
    client.start()
    try:
        until("the former one answers", lambda: answers)
        release = adder.deploy("adder")
    finally:
        done.set()
        client.join(180)
    assert (release.number, release.model_version, release.state) == (number, version, "live")
    assert live(adder, "adder")[0] == {number: 100} and live(adder, "adder")[1][number - 1] == "retired"
    assert failures == [] and str(number - 1) in answers
    assert serving(adder)["BOXPLAT_MODEL_URI"] == f"models:/toy/{version}"


@pytest.mark.integration
def test_release_that_does_not_start_gives_way_to_the_one_before(box: Box) -> None:
    with pytest.raises(BoxError, match="the endpoint serves no other release") as caught:
        write_bento(box.root / "bentos" / "fragile", BROKEN)
        box.deploy("fragile")
    assert live(box, "fragile") == ({}, {1: "failed"})
    until("its process is gone", lambda: not processes(box, "fragile"))

    write_bento(box.root / "bentos" / "fragile")
    assert box.deploy("fragile").number == 2

    write_bento(box.root / "bentos" / "fragile", BROKEN)
    pid = serving(box, "fragile")["pid"]
    with pytest.raises(BoxError, match="release 2 serves on") as caught:
        box.deploy("fragile")
    assert "no weights" in caught.value.why and caught.value.log == str(box.paths.service_log("fragile@3"))
    assert live(box, "fragile") == ({2: 100}, {1: "failed", 2: "live", 3: "failed"})
    assert (said := serving(box, "fragile"))["BOXPLAT_RELEASE"] == "2" and said["pid"] == pid

    write_bento(box.root / "bentos" / "fragile", "import bentoml\n\nraise RuntimeError('half written')\n")
    with pytest.raises(BoxError, match="cannot build") as caught:
        box.deploy("fragile")
    assert "half written" in caught.value.why
    assert serving(box, "fragile")["pid"] == pid and len(box.state.releases.all("fragile")) == 3

    box.undeploy("fragile")
    assert live(box, "fragile")[0] == {} and not processes(box, "fragile")
    with pytest.raises(BoxError) as caught:
        box.predict("fragile", {})
    assert caught.value.code is ExitCode.NO_BOX and caught.value.fix == "box deploy fragile"


@pytest.mark.integration
def test_a_killed_process_costs_only_the_requests_in_flight(adder: Box) -> None:
    """It comes back by itself, and what arrives meanwhile waits at the supervisor's socket."""
    until("the former ones are gone", lambda: len(processes(adder, "adder")) == 1)
    (status,) = processes(adder, "adder")
    with under_load(Load(status.port, "/serving"), 4) as load:
        until("answers", lambda: load.answered[status.pid] > 20)
        in_flight = kill_at_work(psutil.Process(status.pid), status.port)
        until("another process answers", lambda: len(load.answered) == 2)
    assert in_flight and {failed.port for failed in load.failed} <= in_flight
    assert len(load.failed) <= len(in_flight) and set(load.statuses) == {200}


@pytest.mark.integration
def test_changed_settings_make_a_release(adder: Box) -> None:
    """A variable in boxplat.toml is part of what runs: it must be possible to go back from it."""
    before = adder.deploy("adder").number
    settings = replace(adder.settings.endpoints["adder"], env={"ADDER_UNIT": "mile"})
    changed = Box(adder.root, by="test")
    changed.settings = replace(adder.settings, endpoints={"adder": settings})
    assert changed.deploy("adder").number == before + 1
    answer = predict(changed.state, changed.paths, changed.settings, "adder", '{"numbers": [1]}', route="add")
    assert answer == {"sum": 1.0, "unit": "mile"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("ader", ExitCode.NOT_FOUND, "did you mean 'adder'"),
        ("wanting", ExitCode.NOT_FOUND, "no alias 'champoin' (did you mean 'champion'?)"),
        ("modelless", ExitCode.NOT_FOUND, "no registered model 'tyo' (did you mean 'toy'?)"),
    ],
)
def test_deploy_of_what_is_not_there(adder: Box, name: str, code: ExitCode, words: str) -> None:
    with pytest.raises(BoxError) as caught:
        adder.deploy(name)
    assert caught.value.code is code and words in caught.value.what and caught.value.fix.strip()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("data", "route", "code", "words"),
    [
        ('{"numbers": "x"}', "add", ExitCode.USAGE, "numbers: Input should be a valid array"),
        ('{"numbers": []}', "add", ExitCode.USAGE, "no numbers"),
        ("{numbers: 1}", "add", ExitCode.USAGE, "line 1 column 2"),
        ({"numbers": [float("nan")]}, "add", ExitCode.USAGE, "not JSON compliant"),
        ("{}", "sub", ExitCode.NOT_FOUND, "add, serving"),
        ("{}", None, ExitCode.NOT_FOUND, "add, serving"),
    ],
)
def test_bad_requests(adder: Box, data: Any, route: str | None, code: ExitCode, words: str) -> None:
    with pytest.raises(BoxError) as caught:
        predict(adder.state, adder.paths, adder.settings, "adder", data, route=route)
    assert caught.value.code is code and words in caught.value.why


def fake(state: StateStore, name: str, now: State, port: int) -> None:
    """An endpoint whose requests the gateway is said to take at this port."""
    state.releases.add(name, "bento", None, None, None, "env", "test")
    state.releases.split(name, {1: 100}, "test")
    for one, kind, how in ((f"{name}@1", "release", now), (GATEWAY, "gateway", State.RUNNING)):
        state.services.declare(Service(one, ("true",), kind=kind), True, "test")
        state.services.moved(one, how, pid=1, port=port)
    note(state, [Route(name, port, ((1, 100),), {1: (Target(port),)})], keys=())


def test_no_answer_in_time(project: Path, state: StateStore) -> None:
    """Something listens, as a supervisor does while a process starts, but nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        fake(state, "stuck", State.STARTING, silent.getsockname()[1])
        with pytest.raises(BoxError) as caught:
            predict(state, Paths(project), Config(), "stuck", {}, timeout=0.2)
    assert caught.value.code is ExitCode.TIMED_OUT and caught.value.fix.startswith("box wait stuck")
    with pytest.raises(BoxError) as caught:
        predict(state, Paths(project), Config(), "stuck", {}, timeout=0.2)
    assert caught.value.code is ExitCode.NO_BOX


def test_an_answer_that_only_says_it_is_json(project: Path, state: StateStore) -> None:
    class Liar(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(b"<html>")

    with HTTPServer(("127.0.0.1", 0), Liar) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        fake(state, "liar", State.RUNNING, server.server_port)
        with pytest.raises(BoxError) as caught:
            predict(state, Paths(project), Config(), "liar", {})
    assert caught.value.code is ExitCode.FAILED and "liar broke off" in caught.value.what


def test_without_a_supervisor_nothing_is_waited_for(project: Path, state: StateStore) -> None:
    """A killed supervisor leaves a pid in the state that nobody will clear."""
    fake(state, "left", State.RUNNING, 1)
    undeploy(state, Paths(project), Config(), "left", "test", timeout=float("inf"))
    assert [row.name for row in state.services.all()] == [GATEWAY] and state.releases.traffic("left") == {}


@pytest.mark.integration
def test_models_are_listed_and_shown(adder: Box) -> None:
    rows = adder.models.list()
    assert [row.version for row in rows] == sorted((row.version for row in rows), reverse=True)
    assert rows[0].aliases == ("champion",) and adder.models.show("toy")[0].metrics == {"auc": 0.75}


def test_nothing_runs(tmp_path: Path) -> None:
    (tmp_path / "boxplat.toml").write_text(SETTINGS)
    box = Box(tmp_path)
    for call in (box.models.list, lambda: box.predict("adder", {}), lambda: box.deploy("adder")):
        with pytest.raises(BoxError) as caught:
            call()
        assert caught.value.code is ExitCode.NO_BOX
    with pytest.raises(BoxError) as caught:
        box.undeploy("adder")
    assert caught.value.code is ExitCode.NOT_FOUND
    assert box.state.services.all() == [] and box.state.releases.all() == []


@pytest.mark.integration
def test_interrupted_deploy_leaves_the_former(adder: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    before = adder.deploy("adder").number
    register(tracking(adder))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("boxplat.releases.rollout.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            adder.deploy("adder")
    newest = adder.state.releases.all("adder")[0].number
    assert serving(adder)["BOXPLAT_RELEASE"] == str(before)
    assert live(adder, "adder")[0] == {before: 100} and live(adder, "adder")[1][newest] == "failed"
    until("only that one is left", lambda: [row.name for row in processes(adder, "adder")] == [f"adder@{before}"])
