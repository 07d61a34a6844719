"""What stops a lift before anything is changed, all of it at once, and what a person is asked about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift import Order
from tests.export.lift.apiserver import Refused, kubeconfig
from tests.export.lift.conftest import SPACE, Scene, deployment, entry, workflow


def refused(scene: Scene, order: Order | None = None) -> BoxError:
    """The lift stops, and nothing was asked of the cluster that changes something."""
    with pytest.raises(BoxError) as found:
        scene.lift(order)
    assert scene.changing() == []
    assert scene.plans == []
    assert not list((scene.root / ".box" / "lift").glob("[0-9]*"))
    return found.value


def only(scene: Scene, *documents: dict[str, Any]) -> None:
    scene.documents = [entry("v1", "Namespace", SPACE), *documents]


def rules(scene: Scene) -> list[str]:
    return [finding.rule for finding in scene.lift(Order(plan=True)).plan.findings if finding.rule != "first"]


def test_kinds_that_the_cluster_does_not_serve(scene: Scene) -> None:
    scene.server.unserved = {
        "WorkflowTemplate",
        "Workflow",
        "CronWorkflow",
        "Sensor",
        "EventBus",
        "EventSource",
        "HTTPRoute",
    }
    error = refused(scene)
    assert error.code == ExitCode.PRECONDITION
    assert "kinds: the cluster does not serve argoproj.io/v1alpha1 WorkflowTemplate" in error.why
    assert "install Argo Workflows 3.6 or newer" in error.fix
    assert "a Gateway API implementation" in error.fix


def test_each_missing_right_is_named_with_its_verbs(scene: Scene) -> None:
    scene.server.denied = {("patch", "deployments"), ("create", "deployments"), ("get", "pods/log")}
    error = refused(scene)
    assert "rights: you may not create, patch deployments.apps in shop" in error.why
    assert "rights: you may not get pods/log in shop" in error.why
    assert "kubectl -n shop auth can-i" in error.fix


@pytest.mark.parametrize(("minor", "found"), [("26", ["version"]), ("30+", ["version"]), ("36", []), ("37", [])])
def test_the_version_of_the_cluster(scene: Scene, minor: str, found: list[str]) -> None:
    scene.server.minor = minor
    only(scene)
    assert rules(scene) == found


def test_too_old_a_cluster_stops_the_lift(scene: Scene) -> None:
    scene.server.minor = "26"
    assert "1.27 is the oldest" in refused(scene).why


def test_a_missing_secret_is_told_with_its_keys(scene: Scene) -> None:
    del scene.server.objects["Secret", SPACE, "storage"]
    error = refused(scene)
    assert "secrets: no Secret storage in shop (keys: AWS_ACCESS_KEY_ID)" in error.why
    assert "kubectl create -n shop secret generic storage --from-env-file=FILE" in error.fix


def test_the_keys_that_a_secret_lacks(scene: Scene) -> None:
    source = {"secretKeyRef": {"name": "storage", "key": "tracking-url"}}
    only(scene, deployment("delay", container={"env": [{"name": "URL", "valueFrom": source}]}))
    assert "secrets: Secret storage lacks tracking-url" in refused(scene).why


def test_a_key_that_no_pod_reads_is_not_asked_for(scene: Scene) -> None:
    """A README lists all keys of a Secret, also those of parts that a project does not have."""
    source = {"secretKeyRef": {"name": "storage", "key": "AWS_ACCESS_KEY_ID"}}
    container = {"env": [{"name": "KEY", "valueFrom": source}], "envFrom": []}
    only(scene, deployment("delay", container=container))
    scene.secrets["storage"].append("registry-url")
    assert rules(scene) == []


def test_who_may_not_see_secrets_is_told_that_they_are_unchecked(scene: Scene) -> None:
    scene.server.denied = {("get", "secrets")}
    assert rules(scene) == ["secrets"]


def test_a_quota_of_the_cluster_that_leaves_too_little(scene: Scene) -> None:
    status = {"hard": {"requests.cpu": "4"}, "used": {"requests.cpu": "2500m"}}
    scene.server.put("ResourceQuota", "team", SPACE, spec={"hard": {"requests.cpu": "4"}}, status=status)
    error = refused(scene)
    assert "quota: quota team leaves 1.5 of requests.cpu, the servers need 3 more" in error.why
    assert "[overlays.dev] quota" in error.fix


def test_what_runs_already_needs_no_more_quota(scene: Scene) -> None:
    scene.lift()
    status = {"hard": {"requests.cpu": "3"}, "used": {"requests.cpu": "3"}}
    scene.server.put("ResourceQuota", "team", SPACE, spec={"hard": {"requests.cpu": "3"}}, status=status)
    assert "quota" not in rules(scene)


def gpu(**more: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi", "nvidia.com/gpu": "1"}}
    return deployment("delay", container={"resources": resources}, **more)


def test_a_gpu_that_no_node_has_is_asked_about(scene: Scene) -> None:
    only(scene, gpu())
    assert rules(scene) == ["gpu"]
    assert "it waits until the cluster adds one" in scene.lift(Order(plan=True)).plan.dangers[0].what


def test_a_gpu_behind_a_taint_stops_the_lift_unless_it_is_tolerated(scene: Scene) -> None:
    taint = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    scene.server.put("Node", "g1", status={"allocatable": {"nvidia.com/gpu": "1"}}, spec={"taints": [taint]})
    only(scene, gpu())
    assert "keep Deployment/delay out by their labels or taints" in refused(scene).why
    only(scene, gpu(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]))
    assert rules(scene) == []
    only(scene, gpu(tolerations=[{"key": "nvidia.com/gpu", "value": "other"}]))
    assert rules(scene) == ["gpu"]


def test_the_gpus_of_a_gang_are_asked_about_too(scene: Scene) -> None:
    """A step of `@parallel` makes its pods through a JobSet, which is text within its workflow."""
    gang = {
        "spec": {"replicatedJobs": [{"name": "worker", "template": {"spec": {"template": gpu()["spec"]["template"]}}}]}
    }
    made = workflow("shop.train", "Train")
    made["spec"]["templates"].append({"name": "fit", "resource": {"action": "create", "manifest": json.dumps(gang)}})
    only(scene, made)
    assert "gpu" in rules(scene)


def test_a_volume_without_a_class(scene: Scene) -> None:
    scene.server.objects["StorageClass", "", "shared"]["metadata"].pop("annotations")
    assert "storage: no default StorageClass for PersistentVolumeClaim/data" in refused(scene).why


def test_a_class_whose_volumes_one_node_can_mount(scene: Scene) -> None:
    scene.server.objects["StorageClass", "", "shared"]["provisioner"] = "ebs.csi.aws.com"
    assert rules(scene) == ["storage"]


def test_registries_are_asked_once_each(scene: Scene) -> None:
    asked: list[str] = []

    def asks(address: str) -> int:
        asked.append(address)
        raise OSError("no route to host")

    plan = scene.lift(Order(plan=True), asks=asks).plan
    assert asked == ["https://registry.test/v2/"]
    assert "registry" in [finding.rule for finding in plan.dangers]


def test_images_that_no_node_can_pull_are_asked_about(scene: Scene) -> None:
    only(scene, deployment("delay", container={"image": "boxplat/shop-delay:1"}))
    assert rules(scene) == ["registry"]


def test_the_strict_dry_run_names_every_object_that_it_refuses(scene: Scene) -> None:
    scene.documents[2]["spec"]["unknownField"] = 1
    quota = 'admission webhook "policy.example" denied the request: no owner label'
    scene.server.refusals["Service/delay"] = Refused(403, "Forbidden", quota)
    error = refused(scene)
    assert 'Deployment/delay: Deployment in version "apps/v1" cannot be handled' in error.why
    assert "Service/delay: admission webhook" in error.why
    assert "kubectl get validatingwebhookconfigurations" in error.fix


def test_the_namespace_of_another_project_is_left_alone(scene: Scene) -> None:
    labels = {"app.kubernetes.io/part-of": "bank"}
    scene.server.put("Namespace", SPACE, metadata={"labels": labels})
    assert "namespace shop belongs to project bank" in refused(scene).why


def test_a_namespace_that_is_going_away(scene: Scene) -> None:
    scene.server.put("Namespace", SPACE, metadata={"deletionTimestamp": "2026-11-23T00:00:00Z"})
    assert "is being deleted" in refused(scene).why


def test_no_such_context(scene: Scene, tmp_path: Path) -> None:
    from boxplat.adapters.cluster_access import connect

    with pytest.raises(BoxError, match="did you mean 'test'") as found:
        connect("tset")
    assert found.value.code == ExitCode.NOT_FOUND


def test_no_kubeconfig_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxplat.adapters.cluster_access import connect

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(BoxError, match="no cluster to lift to") as found:
        connect()
    assert found.value.code == ExitCode.PRECONDITION


def test_a_cluster_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from boxplat.adapters import cluster
    from boxplat.adapters.cluster_access import connect

    kubeconfig(tmp_path / "kubeconfig", "http://127.0.0.1:9")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setattr(cluster, "_PAUSES", (0.0,))
    with pytest.raises(BoxError, match="does not answer") as found:
        connect().version()
    assert "kubectl --context test" in found.value.fix


TENANT = {(verb, kind) for verb in ("create", "patch", "delete") for kind in ("namespaces", "priorityclasses")}


def test_a_tenant_uses_what_an_administrator_has_made(scene: Scene) -> None:
    made = [one for one in scene.documents if one["kind"] in ("Namespace", "PriorityClass")]
    for one in made:
        content = {key: value for key, value in one.items() if key not in ("apiVersion", "kind", "metadata")}
        metadata = {"labels": {**one["metadata"]["labels"], "admin": "yes"}}
        scene.server.put(one["kind"], one["metadata"]["name"], metadata=metadata, **content)
    scene.server.denied = TENANT
    plan = scene.lift().plan
    assert sorted(str(one) for one in plan.given) == ["Namespace/shop", "PriorityClass/box-batch"]
    assert not {"Namespace/shop", "PriorityClass/box-batch"} & set(scene.server.applied)
    assert "HTTPRoute/delay" in scene.server.applied


def test_what_an_administrator_made_otherwise_is_told(scene: Scene) -> None:
    scene.server.denied = TENANT
    error = refused(scene)
    assert "rights: you may not create, patch namespaces" in error.why
    assert "rights: you may not create, patch priorityclasses.scheduling.k8s.io" in error.why


def test_what_the_server_warns_of_is_asked_about(scene: Scene) -> None:
    """PodSecurity takes the Deployment and refuses its pods later."""
    text = r"would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"
    path = f"/apis/apps/v1/namespaces/{SPACE}/deployments/delay"
    scene.server.warnings[path] = (text, "v1 is old")
    plan = scene.lift(Order(plan=True)).plan
    said = [finding.what for finding in plan.dangers if finding.rule == "warning"]
    assert said == [f"Deployment/delay: {text}", "Deployment/delay: v1 is old"]
