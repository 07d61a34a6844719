"""What does not start is told as an error within the time that a look takes, in the cluster's words."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import Order
from boxplat.export.lift.stuck import Patience
from tests.export.lift import troubles
from tests.export.lift.apiserver import ApiServer, Object
from tests.export.lift.conftest import QUICK, SPACE, Scene, deployment, entry, job
from tests.export.lift.troubles import event, of, waits

POD = "uid-Pod-delay-7d4b-x2x"


@pytest.fixture
def one(scene: Scene) -> Scene:
    """A project of one server."""
    scene.documents = [entry("v1", "Namespace", SPACE), deployment("delay")]
    return scene


def stuck(scene: Scene, trouble: troubles.Trouble, order: Order | None = None) -> BoxError:
    scene.server.live = trouble
    with pytest.raises(BoxError) as found:
        scene.lift(order)
    assert scene.events == ["lift.began", "lift.failed"]
    assert found.value.fix
    return found.value


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "ErrImagePull", "InvalidImageName"])
def test_an_image_that_cannot_be_pulled(one: Scene, reason: str) -> None:
    event(one.server, "pull", POD, "Failed", "Failed to pull image: 401 Unauthorized")
    error = stuck(one, of("delay", waits(reason, troubles.PULL)))
    assert f"Deployment/delay cannot start: {reason}" in error.what
    assert "registry.test/shop/delay:1: not found" in error.why
    assert "401 Unauthorized" in error.why
    assert "box export images --build --push" in error.fix
    assert error.log == "kubectl describe pod -n shop delay-7d4b-x2x"


def test_a_crash_loop_with_its_last_lines(one: Scene) -> None:
    one.server.logs["delay-7d4b-x2x"] = "Traceback (most recent call last):\nRuntimeError: no model\n"
    error = stuck(one, of("delay", troubles.CRASHED))
    assert error.what == "Deployment/delay does not stay up: server ended with status 1 (Error)"
    assert error.why.endswith("RuntimeError: no model")
    query = next(query for _, path, query in one.server.asked if path.endswith("/log"))
    assert query == {"container": "server", "previous": "true", "tailLines": "8"}


def test_an_init_container_that_crashes_is_seen_too(one: Scene) -> None:
    status = {"initContainerStatuses": troubles.CRASHED["containerStatuses"], "phase": "Pending"}
    assert "does not stay up" in stuck(one, of("delay", status)).what


def test_a_container_without_enough_memory(one: Scene) -> None:
    error = stuck(one, of("delay", troubles.STARVED))
    assert "status 137 (OOMKilled)" in error.what
    assert "more memory" in error.fix


def test_one_crash_is_no_loop_yet(one: Scene) -> None:
    """A server that starts before its database crashes once."""
    looks = []

    def recovers(server: ApiServer, live: Object) -> None:
        looks.append(live["kind"])
        crashed = waits("CrashLoopBackOff", restarts=1)
        of("delay", crashed if len(looks) < 12 else None)(server, live)
        if len(looks) >= 20:
            of("nothing")(server, live)

    one.server.live = recovers
    assert one.lift().number == 1


def test_a_secret_or_key_that_is_missing(one: Scene) -> None:
    message = "couldn't find key tracking-url in Secret shop/database"
    error = stuck(one, of("delay", waits("CreateContainerConfigError", message)))
    assert error.why == message
    assert "kubectl get -n shop secrets,configmaps" in error.fix


def test_a_volume_that_cannot_be_mounted(one: Scene) -> None:
    event(one.server, "mount", POD, "FailedMount", 'MountVolume.SetUp failed for volume "data": claim is lost')
    error = stuck(one, of("delay", waits("ContainerCreating")))
    assert "claim is lost" in error.why


def test_a_pod_that_no_node_takes(one: Scene) -> None:
    error = stuck(one, of("delay", troubles.UNSCHEDULABLE))
    assert error.what == "Deployment/delay is Pending: no node takes its pod"
    assert "3 Insufficient nvidia.com/gpu" in error.why
    assert error.code == ExitCode.NO_COMPUTE


def test_a_cluster_that_grows_is_waited_for(one: Scene) -> None:
    event(one.server, "grow", POD, "TriggeredScaleUp", "pod triggered scale-up: gpu-pool 0->1")
    error = stuck(one, of("delay", troubles.UNSCHEDULABLE), Order(ready=0.1))
    assert error.code == ExitCode.TIMED_OUT


@pytest.mark.parametrize(
    ("message", "fix", "code"),
    [
        (troubles.QUOTA, "kubectl -n shop describe quota", ExitCode.NO_COMPUTE),
        (troubles.RESTRICTED, "box export --check", ExitCode.FAILED),
    ],
)
def test_pods_that_may_not_be_made(one: Scene, message: str, fix: str, code: ExitCode) -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
    error = stuck(one, of("delay", conditions=[condition]))
    assert (error.why, error.code) == (message, code)
    assert fix in error.fix


def test_pods_of_a_job_that_may_not_be_made(scene: Scene) -> None:
    scene.documents = [entry("v1", "Namespace", SPACE), job("apply")]
    event(scene.server, "refused", "uid-Job-apply", "FailedCreate", troubles.QUOTA)
    error = stuck(scene, of("apply"))
    assert error.what == "Job/apply gets no pods: the cluster refuses to make them"
    assert "exceeded quota" in error.why


def test_a_job_that_fails_with_its_last_lines(scene: Scene) -> None:
    scene.documents = [entry("v1", "Namespace", SPACE), job("apply")]
    scene.server.logs["apply-7d4b-x2x"] = "sqlalchemy.exc.OperationalError: connection refused"
    ended = {"name": "server", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": "reached the limit"}
    error = stuck(scene, of("apply", {"containerStatuses": [ended]}, conditions=[failed]))
    assert "Job/apply does not stay up" in error.what
    assert "connection refused" in error.why
    query = next(query for _, path, query in scene.server.asked if path.endswith("/log"))
    assert query["previous"] == "false"


def test_a_rollout_that_the_cluster_gives_up(one: Scene) -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    assert "makes no progress" in stuck(one, of("delay", conditions=[late])).what


def test_what_is_never_ready_ends_the_wait(one: Scene) -> None:
    error = stuck(one, of("delay"), Order(ready=0.05))
    assert error.code == ExitCode.TIMED_OUT
    assert error.why == "Deployment/delay: 0 of 1 available, 1 new"


def test_an_old_generation_is_not_taken_for_ready(one: Scene) -> None:
    counts = {"updatedReplicas": 1, "availableReplicas": 1, "observedGeneration": 0}
    error = stuck(one, of("delay", **counts), Order(ready=0.05))
    assert "not seen by the cluster yet" in error.why


def routed(status: str, generation: int) -> troubles.Trouble:
    def live(server: ApiServer, found: Object) -> None:
        of("nothing")(server, found)
        if found["kind"] == "HTTPRoute":
            condition = {
                "type": "Accepted",
                "status": status,
                "reason": "NoMatchingParent",
                "observedGeneration": generation,
            }
            found["status"] = {"parents": [{"parentRef": {"name": "edge"}, "conditions": [condition]}]}

    return live


def test_a_route_that_the_gateway_refuses(scene: Scene) -> None:
    error = stuck(scene, routed("False", 9))
    assert error.what == "HTTPRoute/delay is not accepted by gateway edge: NoMatchingParent"


@pytest.mark.parametrize(("status", "generation", "seen"), [("True", 9, True), ("False", 0, False)])
def test_a_gateway_has_a_moment_to_look_at_a_route(scene: Scene, status: str, generation: int, seen: bool) -> None:
    """What it said of the former generation does not count."""
    scene.server.live = routed(status, generation)
    scene.lift()
    assert ("HTTPRoute/delay: no gateway has looked at it yet" in scene.told) != seen
    assert scene.told[-1] == "HTTPRoute/delay: ready"


def test_with_the_default_patience_every_state_is_told_within_a_minute() -> None:
    patience = Patience()
    lasting = (patience.image, patience.config, patience.pending, patience.mounting, patience.refused)
    assert max(lasting) + 2 * patience.poll < 60


def test_a_state_must_last_to_be_called_stuck(one: Scene) -> None:
    """A node that is pulling says ErrImagePull now and then."""
    one.server.live = of("delay", waits("ErrImagePull", "pull QPS exceeded"))
    began = time.monotonic()
    with pytest.raises(BoxError, match="cannot start"):
        one.lift(patience=replace(QUICK, image=0.3))
    assert time.monotonic() - began > 0.3
