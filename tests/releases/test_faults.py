"""What goes wrong in the middle of a change: whatever it is, what was live before goes on answering."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial

import psutil
import pytest

from boxplat.box import Box
from boxplat.core import processes
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import State
from boxplat.releases import gateway
from boxplat.releases.alone import alone
from boxplat.releases.endpoints import replicas_of
from boxplat.releases.gateway import drained
from boxplat.runs.limits import Memory
from boxplat.supervisor.lock import holder
from tests.serving.load import Load, under_load

from .conftest import ADDER, until, write_bento
from .test_deploy import register, serving, tracking

pytestmark = pytest.mark.integration
SETTINGS = """
[project]
name = "faults"
[tracking]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
model = "toy"
port = 0
watch = "40s"
"""
DIES = f"""{ADDER}
    @bentoml.api
    def die(self) -> None:
        print("out of luck", flush=True)
        os._exit(3)

    @bentoml.api
    def slow(self, mark: str) -> str:
        import pathlib
        import time

        pathlib.Path(mark).touch()
        time.sleep(3)
        return os.environ["BOXPLAT_RELEASE"]
"""
# Long enough at its start to be found there.
LATE = f"""{DIES}
if "BOXPLAT_RELEASE" in os.environ:
    import time

    time.sleep(30)
"""
WRONG = ADDER.replace('return {"sum": sum(numbers)', "raise RuntimeError('no such column')\n        return {\"sum\": 0")
# A deploy that is killed as it takes a certain step.
KILLED = """
import os, sys
from boxplat.box import Box
from boxplat.core.state.releases import Releases
from boxplat.releases.rollout import Rollout

def killed(*_, **__):
    os.kill(os.getpid(), 9)

def after(function):
    def both(*args, **kwargs):
        function(*args, **kwargs)
        killed()
    return both

step = sys.argv[2]
if step == "created":
    Rollout.start = killed
elif step == "started":
    Rollout._ready = killed
elif step == "ready":
    Rollout._warm = killed
elif step == "moved":
    Releases.split = after(Releases.split)
Box(sys.argv[1], by="killed").deploy("adder")
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root = tmp_path_factory.mktemp("faults")
    (root / "boxplat.toml").write_text(SETTINGS)
    write_bento(root / "bentos" / "adder", DIES)
    found = Box(root, by="test")
    found.up(detach=True)
    try:
        found.wait(timeout=300)
        register(tracking(found), new=True)
        found.deploy("adder")
        yield found
    finally:
        found.down()


def variant(box: Box, number: int, text: str = DIES) -> None:
    """Another content, so that the next deploy makes a release."""
    write_bento(box.root / "bentos" / "adder", f"{text}\n# {number}\n")


def traffic(box: Box) -> dict[int, int]:
    return box.state.releases.traffic("adder")


def states(box: Box) -> dict[int, str]:
    return {release.number: release.state for release in box.state.releases.all("adder")}


def running(box: Box) -> set[str]:
    return {row.name for row in replicas_of("adder", box.state.services.all())}


def door(box: Box, path: str = "/serving", body: bytes = b"{}") -> Load:
    url = next(str(row.url) for row in box.endpoints() if row.name == "adder")
    return Load(int(url.rpartition(":")[2]), path, body)


def good(load: Load) -> bool:
    return not load.failed and set(load.statuses) == {200}


@pytest.mark.parametrize("step", ["created", "started", "ready"])
def test_a_deploy_killed_before_the_traffic_moved_has_failed(box: Box, step: str) -> None:
    before, there = traffic(box), running(box)
    variant(box, len(states(box)))
    with under_load(door(box), 2) as load:
        done = subprocess.run([sys.executable, "-c", KILLED, box.root, step], stderr=subprocess.DEVNULL)
        assert done.returncode == -signal.SIGKILL
        until("its release has failed", lambda: states(box)[max(states(box))] == "failed")
        until("its processes are gone", lambda: running(box) == there)
        until("answers", lambda: sum(load.answered.values()) > 20)
    assert good(load), (load.failed, load.statuses)
    assert traffic(box) == before and box.state.changes.current("adder") == []


def test_a_deploy_killed_after_the_traffic_moved_goes_on(box: Box) -> None:
    (before,) = traffic(box)
    variant(box, len(states(box)))
    with under_load(door(box), 2) as load:
        subprocess.run([sys.executable, "-c", KILLED, box.root, "moved"], stderr=subprocess.DEVNULL)
        until("the new one answers", lambda: len(load.answered) == 2)
    newest = max(states(box))
    assert good(load) and traffic(box) == {newest: 100} and states(box)[before] == "retired"
    (change,) = box.state.changes.current("adder")
    assert change.kind == "deploy" and change.before == {before: 100}, "the first minute is watched all the same"


def test_a_crash_in_the_first_minute_gives_the_traffic_back(box: Box) -> None:
    (before,) = traffic(box)
    variant(box, len(states(box)))
    newest = box.deploy("adder").number
    assert {f"adder@{before}", f"adder@{newest}"} <= running(box), "the old one stands by"
    with pytest.raises(BoxError):
        box.predict("adder", {}, route="die")
    until("the old one is back", lambda: traffic(box) == {before: 100})
    until("requests go to it", lambda: gateway.applied(box.state).serves("adder", {before: 100}))
    assert serving(box)["BOXPLAT_RELEASE"] == str(before) and states(box)[newest] == "failed"
    entry = box.state.record.entries("endpoint/adder", ("traffic.set",))[-1]
    assert entry.data["kind"] == "return" and "crashed" in entry.data["reason"]
    assert "out of luck" in entry.data["evidence"]["said"]
    until("it is gone", lambda: f"adder@{newest}" not in running(box))
    with pytest.raises(BoxError, match="has failed and gets no requests"):
        box.split("adder", {before: 50, newest: 50})


def test_a_release_that_fails_its_warm_up_gets_no_traffic(box: Box) -> None:
    before = traffic(box)
    variant(box, len(states(box)), WRONG)
    with under_load(door(box, "/add", b'{"numbers": [1, 2]}'), 2) as load:
        until("answers are logged", lambda: box.predictions("adder", where="api = 'add'"))
        with pytest.raises(BoxError, match="failed its warm-up") as caught:
            box.deploy("adder")
    assert good(load) and traffic(box) == before
    assert "no such column" in caught.value.why and caught.value.code is ExitCode.FAILED
    variant(box, 0)


def test_no_room_changes_nothing(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    until("what was before has ended", lambda: running(box) == {f"adder@{number}" for number in traffic(box)})
    until("nothing is watched any more", lambda: not box.state.changes.current("adder"))
    variant(box, len(states(box)))
    before, event = (traffic(box), states(box), running(box)), box.events(limit=1)[-1].id
    monkeypatch.setattr("boxplat.runs.limits.Limits.memory", lambda self: Memory(2**30, 2**20))
    with pytest.raises(BoxError, match="no room") as caught:
        box.deploy("adder")
    assert caught.value.code is ExitCode.NO_COMPUTE and "1 MiB of memory" not in caught.value.what
    assert (traffic(box), states(box), running(box)) == before and box.events(after=event, subject="adder") == []


def test_two_changes_at_once(box: Box) -> None:
    (live,) = traffic(box)
    with alone(box.paths, "adder"):
        for change in (box.deploy, partial(box.split, weights={live: 100}), box.rollback, box.undeploy):
            with pytest.raises(BoxError, match="another command is changing endpoint adder"):
                change("adder")
    assert traffic(box) == {live: 100}


@pytest.mark.parametrize(
    ("weights", "shadow", "code", "words"),
    [
        ({1: 90}, None, ExitCode.USAGE, "90 in all"),
        ({1: 90, 2: 20}, None, ExitCode.USAGE, "110 in all"),
        ({1: 150, 2: -50}, None, ExitCode.USAGE, "each from 0 to 100"),
        ({1: 0}, None, ExitCode.USAGE, "no release has a weight"),
        ({1: 90, 99: 10}, None, ExitCode.NOT_FOUND, "known: "),
        ({1: 100}, 99, ExitCode.NOT_FOUND, "known: "),
        ({1: 90, 2: 10}, 2, ExitCode.USAGE, "copies are dropped"),
    ],
)
def test_a_split_that_makes_no_sense(
    box: Box, weights: dict[int, int], shadow: int | None, code: ExitCode, words: str
) -> None:
    before, event = traffic(box), box.events(limit=1)[-1].id
    with pytest.raises(BoxError) as caught:
        box.split("adder", weights, shadow)
    assert caught.value.code is code and words in caught.value.why
    assert traffic(box) == before and box.events(after=event, subject="adder") == []


def test_replicas_share_the_requests_and_one_may_be_killed(box: Box) -> None:
    settings = replace(box.settings.endpoints["adder"], replicas=2, watch="")
    two = Box(box.root, by="test")
    two.settings = replace(box.settings, endpoints={"adder": settings})
    variant(box, 0)
    (live,) = traffic(box)
    two.deploy("adder")
    (live,) = traffic(box)
    assert {f"adder@{live}", f"adder@{live}.2"} <= running(box)
    victim = next(row for row in box.state.services.all() if row.name == f"adder@{live}.2")
    with under_load(door(box), 4) as load:
        until("both answer", lambda: len(load.answered) == 2)
        assert victim.pid
        os.kill(victim.pid, signal.SIGKILL)
        until("it is there again", lambda: len(load.answered) == 3)
    # One at most for each client: what was in flight on the killed process may be tried again only where that is safe.
    assert len(load.failed) + sum(count for status, count in load.statuses.items() if status != 200) <= 4


def test_rollback_takes_traffic_and_alias_back(box: Box) -> None:
    (before,) = traffic(box)
    version = register(tracking(box))
    newest = box.deploy("adder").number
    assert states(box)[newest] == "live" and newest != before
    with under_load(door(box), 2) as load, ThreadPoolExecutor() as pool:
        began = box.root / "slow-began"
        waits = pool.submit(Box(box.root).predict, "adder", {"mark": str(began)}, route="slow")
        until("it is under way", lambda: began.exists() and load.answered)
        assert waits.done() or not drained(box.paths, "adder", newest)
        change = box.rollback("adder", reason="a test")
        until("the old one answers", lambda: len(load.answered) == 2)
        assert waits.result(180) == str(newest), "what was begun is ended before its process is"
    assert good(load) and change.weights == {before: 100} == traffic(box)
    had = next(release.model_version for release in box.state.releases.all("adder") if release.number == before)
    assert champion(box) == had != version
    assert box.state.changes.owing() == []


def champion(box: Box) -> int:
    return next(one.version for one in box.models.list() if "champion" in one.aliases)


def test_an_alias_that_cannot_follow_now_follows_later(box: Box) -> None:
    (before,) = traffic(box)
    register(tracking(box))
    box.deploy("adder")
    box.down(["tracking"])
    until("tracking is down", lambda: state_of(box, "tracking") is State.STOPPED)
    box.rollback("adder")
    assert traffic(box) == {before: 100} and len(box.state.changes.owing()) == 1
    box.up(["tracking"])
    until("the alias has followed", lambda: box.state.changes.owing() == [])
    had = next(release.model_version for release in box.state.releases.all("adder") if release.number == before)
    assert champion(box) == had


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def known(pids: Iterable[int]) -> Iterator[psutil.Process]:
    """Those of them that have not ended by themselves."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def state_of(box: Box, name: str) -> State:
    return next(row.state for row in box.state.services.all() if row.name == name)


def test_the_same_serves_again_after_everything_was_killed(box: Box) -> None:
    """As after a reboot, in the middle of a deploy and with a split."""
    (first,) = traffic(box)
    variant(box, len(states(box)))
    second = box.deploy("adder", percent=30).number
    url = next(row.url for row in box.endpoints() if row.name == "adder")
    there = holder(box.paths)
    assert there is not None and traffic(box) == {first: 70, second: 30}
    variant(box, len(states(box)), LATE)
    with subprocess.Popen(
        [sys.executable, "-m", "boxplat", "--project", box.root, "deploy", "adder"], stderr=-3
    ) as deploy:
        until("it is under way", lambda: any(one.moved is None for one in box.state.changes.current("adder")))
        victims = [*known((there.pid, deploy.pid, *processes.marked(box.paths.state)))]
        for victim in victims:
            processes.signal_all([victim.pid], signal.SIGKILL)
        until("they are gone", lambda: not any(map(alive, victims)))
    box.up(detach=True)
    box.wait(["adder"], timeout=300)
    assert traffic(box) == {first: 70, second: 30}
    assert next(row.url for row in box.endpoints() if row.name == "adder") == url
    until("both answer", lambda: {serving(box)["BOXPLAT_RELEASE"] for _ in range(20)} == {str(first), str(second)})
    until("the third has failed", lambda: states(box)[max(states(box))] == "failed")
    until("no process of it is left", lambda: f"adder@{max(states(box))}" not in running(box))
