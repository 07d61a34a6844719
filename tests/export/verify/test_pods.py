"""Pods as processes: what they see, get, leave and may not do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from boxplat.export.verify.pods import Missing, Pod, Processes, World, variables
from boxplat.export.verify.workflow import FAILED, SUCCEEDED, Ended

MOUNTS = [{"name": "out", "mountPath": "/mnt/out"}, {"name": "data", "mountPath": "/var/lib/boxplat/data"}]
VOLUMES = [
    {"name": "out", "emptyDir": {}},
    {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
    {"name": "settings", "configMap": {"name": "settings"}},
]


@pytest.fixture
def world(tmp_path: Path) -> World:
    project = tmp_path / "project"
    for file in ("flows/a.py", ".box/box.db"):
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_text("text")
    return World(
        folder=tmp_path / "work",
        images={"/app/flows": project / "flows"},
        secrets={"storage": {"KEY": "secret"}},
        configs={"settings": {"name.yaml": "a: 1"}},
        hosts={"tracking.ns.svc": "127.99.0.1"},
        hidden=[project / ".box"],
    )


def run(world: World, script: str, name: str = "pod", **more: Any) -> tuple[Ended, str]:
    container = {"command": ["bash", "-c", script], "volumeMounts": MOUNTS, "workingDir": "/tmp", **more.pop("own", {})}
    processes = Processes(world, 1)
    ended = processes.run(Pod(name, {"volumes": VOLUMES, **more}, container))
    return ended, processes.log(name).read_text()


def test_a_pod_sees_the_image_and_its_volumes_and_nothing_of_the_box(world: World, tmp_path: Path) -> None:
    own = {"volumeMounts": [*MOUNTS, {"name": "settings", "mountPath": "/etc/settings"}]}
    script = (
        f"cat /app/flows/a.py /etc/settings/name.yaml; echo; ls -A /app /mnt/out /tmp {tmp_path}/project/.box; id -u"
    )
    _, said = run(world, script, own=own)
    assert said.startswith("texta: 1\n")
    assert "box.db" not in said
    assert said.splitlines()[-1] == "1000"


@pytest.mark.parametrize("path", ["/new", "/app/flows/new", "/usr/new", "/var/lib/boxplat/new", "/etc/hosts"])
def test_a_pod_writes_to_its_volumes_only(world: World, path: str) -> None:
    ended, said = run(world, f"echo x > {path} && echo written")
    assert ended.status == FAILED
    assert "written" not in said


def test_claims_are_shared_and_empty_folders_are_not(world: World) -> None:
    run(world, "echo 1 > /var/lib/boxplat/data/x; echo 1 > /mnt/out/x; echo 1 > /tmp/x", "one")
    _, said = run(world, "ls /var/lib/boxplat/data /mnt/out; [ ! -e /tmp/x ] && echo new", "two")
    assert said.split() == ["/mnt/out:", "/var/lib/boxplat/data:", "x", "new"]


def test_outputs_are_read_from_the_files_that_are_declared(world: World) -> None:
    declared = [
        {"name": "id", "valueFrom": {"path": "/mnt/out/id"}},
        {"name": "other", "valueFrom": {"path": "/mnt/out/none", "default": "d"}},
    ]
    ended, _ = run(world, "printf %s 7 > /mnt/out/id", outputs={"parameters": declared})
    assert ended == Ended(SUCCEEDED, {"id": "7", "other": "d"})
    assert run(world, "true", "b", outputs={"parameters": declared})[0].status == FAILED


def test_a_deadline_ends_a_pod_with_all_that_it_has_started(world: World) -> None:
    began = time.monotonic()
    ended, _ = run(world, "sleep 300 & sleep 300", activeDeadlineSeconds="1")
    assert ended.status == FAILED and "deadline" in ended.message
    assert time.monotonic() - began < 150


def test_a_failure_says_the_last_words(world: World) -> None:
    assert run(world, "echo first; echo the reason >&2; exit 3")[0].message.splitlines()[-1] == "the reason"


def test_the_environment_is_that_of_the_manifest_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "of this machine")
    _, said = run(world, "env; python -c 'import socket; print(socket.gethostbyname(\"tracking.ns.svc\"))'")
    assert "of this machine" not in said
    assert said.splitlines()[-1] == "127.99.0.1"


def test_variables_are_made_as_a_kubelet_makes_them(world: World) -> None:
    env = [
        {"name": "A", "value": "a$$b$(KEY)$(A)$(NOBODY)"},
        {"name": "B", "value": "$(A)!"},
        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "storage", "key": "KEY"}}},
        {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['x/y']"}}},
        {"name": "E", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "name.yaml"}}},
    ]
    container = {"env": env, "envFrom": [{"secretRef": {"name": "storage"}}]}
    found = variables(Pod("p", {}, container, annotations={"x/y": "z"}), world)
    assert found == {
        "KEY": "secret",
        "A": "a$bsecret$(A)$(NOBODY)",
        "B": "a$bsecret$(A)$(NOBODY)!",
        "C": "secret",
        "D": "z",
        "E": "a: 1",
    }


@pytest.mark.parametrize(
    "own",
    [
        {"envFrom": [{"secretRef": {"name": "other"}}]},
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "storage", "key": "other"}}}]},
        {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.nothing"}}}]},
        {"volumeMounts": [{"name": "nowhere", "mountPath": "/x"}]},
    ],
)
def test_what_is_not_there_is_said_by_name(world: World, own: dict[str, Any]) -> None:
    with pytest.raises(Missing, match=r"other|nothing|nowhere"):
        run(world, "true", own=own)


def test_a_jobset_ends_with_its_first_failure_and_its_pods_find_each_other(world: World) -> None:
    def job(name: str, replicas: int, script: str) -> dict[str, Any]:
        env = [
            {
                "name": "AT",
                "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['jobset.sigs.k8s.io/job-index']"}},
            }
        ]
        container = {"command": ["bash", "-c", script], "volumeMounts": MOUNTS, "workingDir": "/tmp", "env": env}
        spec = {"containers": [container], "volumes": VOLUMES}
        return {"name": name, "replicas": replicas, "template": {"spec": {"template": {"spec": spec}}}}

    find = "getent hosts js-control-0-0.js.default.svc.cluster.local > /var/lib/boxplat/data/$AT"
    manifest = {
        "metadata": {"name": "js"},
        "spec": {"replicatedJobs": [job("control", 1, "exit 3"), job("worker", 2, "sleep 300")]},
    }
    began = time.monotonic()
    assert Processes(world, 1).jobset("set", manifest).status == FAILED
    assert time.monotonic() - began < 150
    manifest["spec"] = {"replicatedJobs": [job("control", 1, "true"), job("worker", 2, find)]}
    assert Processes(world, 1).jobset("again", manifest).status == SUCCEEDED
    found = [(world.folder / "claims" / "data" / name).read_text() for name in ("0", "1")]
    assert found[0] == found[1] and found[0].startswith("127.")


def test_pods_that_are_stopped_end_at_once(world: World) -> None:
    processes = Processes(world, 1)
    processes.stop()
    container = {"command": ["sleep", "300"], "volumeMounts": MOUNTS, "workingDir": "/tmp"}
    assert processes.run(Pod("pod", {"volumes": VOLUMES}, container)) == Ended(FAILED, message="interrupted")
