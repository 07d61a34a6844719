"""A small project, a cluster that runs in the test, and what its controllers do."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from boxplat.core.paths import Paths
from boxplat.export.lift import Lifted, Order, Patience, Plan, Work, lift
from tests.export.lift.apiserver import ApiServer, Object, kubeconfig, serving

SPACE = "shop"
# Nothing is worth waiting for: a state that lasts for two looks is stuck.
QUICK = Patience(poll=0.01, image=0.01, config=0.01, pending=0.01, mounting=0.01, refused=0.01)


def labels(component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "boxplat",
        "app.kubernetes.io/part-of": SPACE,
        "app.kubernetes.io/component": component,
    }


def entry(version: str, kind: str, name: str, component: str = "guardrails", **content: Any) -> Object:
    metadata = {"name": name, "namespace": SPACE, "labels": labels(component)}
    if kind in ("Namespace", "PriorityClass"):
        del metadata["namespace"]
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **content}


def pod(component: str, **more: Any) -> Object:
    container = {
        "name": component,
        "image": f"registry.test/shop/{component}:1",
        "resources": {"requests": {"cpu": "1", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
        "envFrom": [{"secretRef": {"name": "storage"}}],
        **more.pop("container", {}),
    }
    return {"metadata": {"labels": labels(component)}, "spec": {"containers": [container], **more}}


def deployment(name: str, replicas: int = 1, **more: Any) -> Object:
    selector = {"matchLabels": {"app.kubernetes.io/component": name}}
    spec = {"replicas": replicas, "selector": selector, "template": pod(name, **more)}
    return entry("apps/v1", "Deployment", name, name, spec=spec)


def job(name: str, image: str = "1") -> Object:
    template = pod("features", container={"image": f"registry.test/shop/features:{image}"})
    return entry("batch/v1", "Job", name, "features", spec={"template": template})


def workflow(name: str, flow: str) -> Object:
    template = {"name": "start", "container": {"name": "main", "image": "registry.test/shop/flows:1"}}
    made = entry("argoproj.io/v1alpha1", "WorkflowTemplate", name, "flows", spec={"templates": [template]})
    made["metadata"]["annotations"] = {"metaflow/flow_name": flow}
    return made


def shop() -> list[Object]:
    """One object of every wave but the stores'."""
    return [
        entry("gateway.networking.k8s.io/v1", "HTTPRoute", "delay", "delay", spec={"parentRefs": [{"name": "edge"}]}),
        workflow("shop.train", "Train"),
        deployment("delay", 2),
        entry("v1", "Service", "delay", "delay", spec={"ports": [{"port": 3000}]}),
        job("features-apply-1"),
        deployment("tracking"),
        entry("v1", "Service", "tracking", "tracking", spec={"ports": [{"port": 5000}]}),
        entry("v1", "ServiceAccount", "delay", "delay"),
        entry("v1", "PersistentVolumeClaim", "data", "data", spec={"accessModes": ["ReadWriteMany"]}),
        entry("v1", "ResourceQuota", "quota", spec={"hard": {"requests.cpu": "32", "pods": "50"}}),
        entry("scheduling.k8s.io/v1", "PriorityClass", "box-batch", value=10),
        entry("v1", "Namespace", SPACE),
    ]


def settled(server: ApiServer, live: Object) -> None:
    """Controllers that do what they are asked at once."""
    generation = live["metadata"].get("generation", 1)
    match live["kind"]:
        case "Deployment":
            count = live["spec"]["replicas"]
            live["status"] = {
                "observedGeneration": generation,
                "replicas": count,
                "updatedReplicas": count,
                "availableReplicas": count,
            }
        case "Job":
            live["status"] = {"conditions": [{"type": "Complete", "status": "True"}]}
        case "Workflow":
            live["status"] = {"phase": "Succeeded", "progress": "3/3"}


@dataclass
class Scene:
    """A project, a cluster, and what was told, recorded and agreed."""

    root: Path
    server: ApiServer
    documents: list[Object] = field(default_factory=shop)
    told: list[str] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    agrees: bool = True
    files: dict[str, bytes] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=lambda: {"storage": ["AWS_ACCESS_KEY_ID"]})

    def export(self, folder: Path, overlay: str = "dev") -> None:
        texts = {f"rendered/{overlay}.yaml": yaml.safe_dump_all(self.documents).encode(), **self.files}
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text)
        lock = {
            "made_by": "boxplat",
            "project": SPACE,
            "namespace": SPACE,
            "secrets": self.secrets,
            "files": {path: hashlib.sha256(text).hexdigest() for path, text in texts.items()},
        }
        (folder / "export.lock.json").write_text(json.dumps(lock))

    def agreed(self, plan: Plan) -> bool:
        self.plans.append(plan)
        return self.agrees

    def work(self, **more: Any) -> Work:
        given: dict[str, Any] = {
            "export": self.export,
            "check": lambda folder: [],
            "agreed": self.agreed,
            "recorded": lambda kind, facts: self.events.append(kind),
            "asks": lambda address: 401,
            **more,
        }
        return Work(**given)

    def lift(self, order: Order | None = None, patience: Patience = QUICK, **work: Any) -> Lifted:
        return lift(Paths(self.root), "", order or Order(), self.work(**work), self.told.append, patience)

    def changing(self) -> list[str]:
        """What was asked of the server that changes something."""
        return [
            f"{method} {path}"
            for method, path, query in self.server.asked
            if method != "GET" and "dryRun" not in query and not path.endswith("reviews")
        ]

    def state(self) -> dict[str, Any]:
        """Everything on the cluster but what controllers say."""
        kept = copy.deepcopy(self.server.objects)
        for one in kept.values():
            one.pop("status", None)
        return {"/".join(key): one for key, one in kept.items()}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster with a node, a class of volumes, the namespace and the Secrets."""
    state = ApiServer()
    state.live = settled
    state.put("Node", "n1", status={"allocatable": {"cpu": "8"}})
    default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    state.put("StorageClass", "shared", provisioner="nfs.csi.k8s.io", metadata=default)
    state.put("Namespace", SPACE)
    state.put("Secret", "storage", SPACE, data={"AWS_ACCESS_KEY_ID": "c2VjcmV0LXZhbHVl"})
    with serving(state) as address:
        kubeconfig(tmp_path / "kubeconfig", address)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield state


@pytest.fixture
def scene(tmp_path: Path, cluster: ApiServer) -> Scene:
    (tmp_path / "project").mkdir(exist_ok=True)
    return Scene(tmp_path / "project", cluster)
