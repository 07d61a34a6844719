"""The project's settings that are not at their defaults: where a cluster has them, or why it has no use for them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from boxplat.core.model import File
from boxplat.export.model import ExportInput
from boxplat.export.parity.model import Carried
from boxplat.export.parity.shelf import Shelf, shown
from boxplat.export.pointers import Pointer, texts
from boxplat.export.sensitive import is_secret

_COMMAND: Pointer = ("spec", "template", "spec", "containers", 0, "command")
_LOCAL = {
    "run": "Argo starts the steps, each in a pod of its own; [run] is about this machine's cores",
    "schedule": "Argo has its own switch for each schedule: argo cron suspend NAME",
    "compute": "the ledger is of one machine; on a cluster the scheduler, quotas and priority classes take its place",
    "rates": "the costs of a cluster are those of its provider",
    "gateway": "the cluster's own Gateway is the door",
    "audit": "box features audit looks at the training set before it is used, here",
    "skew": "box features skew compares where the predictions' log is",
    "sources": "box features audit looks at the training set before it is used, here",
    "gates": "box models promote judges a version before it is released, here",
    "outcomes": "outcomes are compared where the predictions' log is, here",
    "verify": "it says what box export verify may find different, here",
}
# Told as rows of flows and services, from what they came to.
_ELSEWHERE = frozenset({"schedules", "guards", "services"})
_ENDPOINT_LOCAL = {
    "log_days": "the log of predictions is the pod's own and goes with it",
    "log_mib": "the log of predictions is the pod's own and goes with it",
    "log_sample": "the log of predictions is the pod's own and goes with it",
    "alias": "a release pins the version that the alias had: see its row version",
    "warmup": "the recorded requests of this box are not in the image; a pod gets requests when its probe says so",
    "idle": "Kubernetes alone starts no pod for a request: it runs all the time",
    "watch": "box deploy watches a new release here; on a cluster the roll-out waits for probes",
    "timeout": "a route limits the whole answer only, which a stream must not have; the server's own limit stays",
    "sticky": "the standard routes of a Gateway know no such rule; its own policies do",
    "retries": "the standard routes of a Gateway know no retries; its own policies do",
    "repeatable": "the standard routes of a Gateway know no retries; its own policies do",
    "requests_per_second": "the standard routes of a Gateway know no limits; the server's own --waiting stays",
    "in_flight": "the standard routes of a Gateway know no limits; the server's own --waiting stays",
    "port": "a Service has the port of the release: see its row port",
}


def rows(inputs: ExportInput, shelf: Shelf, overlays: Sequence[File]) -> Iterator[Carried]:
    """A row for each setting that is not at its default.

    Args:
        overlays: the files that environments are made of, and what they come to.
    """
    for key, value in sorted(inputs.settings.items()):
        section, _, rest = key.partition(".")
        if section in _ELSEWHERE:
            continue
        if section == "overlays":
            yield _of_overlay(inputs, rest, value, overlays)
        elif section in _LOCAL:
            yield Carried(section, rest, _shown(key, value), why_not=_LOCAL[section])
        else:
            yield _carried(inputs, key, value, shelf)


def _carried(inputs: ExportInput, key: str, value: Any, shelf: Shelf) -> Carried:
    section, _, rest = key.partition(".")
    namespace = inputs.policy.namespace
    match section:
        case "endpoints":
            return _endpoint(inputs, rest, value, shelf)
        case "project":
            place = ("Namespace", namespace, ("metadata", "labels", "app.kubernetes.io/part-of"))
            return shelf.row(section, rest, value, place)
        case "tracking":
            return shelf.row(section, rest, value, ("Service", "tracking", ("spec", "ports", 0, "port")))
        case "features":
            return _features(rest, value, shelf)
        case "export" | "gpus":
            return Carried(section, rest, _shown(key, value), "export.lock.json", "it decides what is written")
        case _:
            return Carried(section, rest, _shown(key, value))


def _features(name: str, value: Any, shelf: Shelf) -> Carried:
    if name == "port":
        return shelf.row("features", name, value, ("Service", "features", ("spec", "ports", 0, "port")))
    place = ("Deployment", "features", ("spec", "template", "spec", "containers", 0, "workingDir"))
    return shelf.row("features", name, value, place, why_not="the project has no feature_store.yaml")


def _of_overlay(inputs: ExportInput, rest: str, value: Any, files: Sequence[File]) -> Carried:
    """Found by the line that has the value: in a file of the overlay's own, or in what it comes to."""
    overlay = rest.partition(".")[0]
    if overlay not in inputs.overlays:
        return Carried("overlays", rest, _shown(rest, value), why_not="this overlay was left out of this export")
    words = [str(word) for word in (value if isinstance(value, list | tuple) else [value])]
    key, _, component = rest.partition(".")[2].partition(".")
    own = sorted(files, key=lambda file: not file.path.startswith("overlays/"))
    for file in own:
        other = key == "replicas" and f"-{component}.yaml" not in file.path
        if file.path.startswith((f"overlays/{overlay}/", f"rendered/{overlay}.yaml")) and not other:
            lines = [next((line for line in file.text.splitlines() if _has(line, word)), "") for word in words]
            if lines and all(lines):
                return Carried("overlays", rest, _shown(rest, value), file.path, shown(" ".join(lines)))
    return Carried("overlays", rest, _shown(rest, value))


def _has(line: str, word: str) -> bool:
    said = re.search(rf"(?<![\w.-]){re.escape(word)}(?![\w-])", line)
    return said is not None and not line.lstrip().startswith("path:")


def _endpoint(inputs: ExportInput, rest: str, value: Any, shelf: Shelf) -> Carried:
    endpoint, _, name = rest.partition(".")
    of = f"endpoints.{endpoint}"
    if endpoint in inputs.undeployed:
        return Carried(of, name, _shown(name, value), why_not=f"no release yet: box deploy {endpoint}")
    here = ("Deployment", endpoint)
    if name.startswith("env."):
        return Carried(of, name, _shown(name, value), why_not="see the row of the variable")
    flag = f"--{name.replace('_', '-')}"
    command = dict((word, path) for path, word in texts(shelf.document(*here), *_COMMAND))
    if flag in command:
        return shelf.row(of, name, value, (*here, command[flag]))
    container: Pointer = _COMMAND[:-1]
    resources: Pointer = (*container, "resources")
    places: dict[str, list[tuple[str, str, Pointer]]] = {
        "bento": [(*here, (*container, "image"))],
        "model": [(*here, (*container, "env"))],
        "feature_service": [(*here, (*container, "env"))],
        "workers": [(*here, (*container, "command"))],
        "memory_mib": [(*here, (*resources, "requests", "memory"))],
        "gpu_memory_mib": [(*here, (*resources, "limits"))],
        "replicas": [
            ("HorizontalPodAutoscaler", endpoint, ("spec", "minReplicas")),
            (*here, ("spec", "replicas")),
        ],
        "grpc_port": [("Service", endpoint, ("spec", "ports"))],
    }
    return shelf.row(of, name, value, *places.get(name, []), why_not=_ENDPOINT_LOCAL.get(name, ""))


def _shown(key: str, value: Any) -> str:
    return "a secret" if is_secret(key) else shown(value)
