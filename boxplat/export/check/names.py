"""Names, labels and keys as an API server demands them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.rules import each_container, each_document, each_pod, whole
from boxplat.export.pointers import Pointer, at, entries, mapping, nodes, text

# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SERVICE = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?)?", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?", re.ASCII)
_PORT = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")
_ENV = re.compile(r"[A-Za-z_.-][\w.-]*", re.ASCII)
_DATA = re.compile(r"[\w.-]{1,253}", re.ASCII)
# Argo Events names Deployments and Services after its kinds.
_FORMS = {"Service": _SERVICE, **dict.fromkeys(("Namespace", "Sensor", "EventSource", "EventBus"), _LABEL)}
# A CronJob adds 11 characters for its Jobs, a CronWorkflow as many for its Workflows; pods' names hold a label.
_LONGEST: Mapping[str, int] = {"CronJob": 52, "CronWorkflow": 52, "WorkflowTemplate": 63, "Job": 63, "JobSet": 63}
_CLUSTER_WIDE = frozenset(
    {
        "Namespace",
        "PriorityClass",
        "ClusterRole",
        "ClusterRoleBinding",
        "StorageClass",
        "ResourceFlavor",
        "ClusterQueue",
    }
    | {"CustomResourceDefinition", "ClusterWorkflowTemplate", "GatewayClass", "PersistentVolume"}
)


@each_document("name-invalid")
def name_invalid(manifest: Manifest) -> Iterator[Found]:
    """An object has a name, in the form and of the length that its kind allows."""
    pattern = _FORMS.get(manifest.kind, _SUBDOMAIN)
    longest = _LONGEST.get(manifest.kind, 253)
    if manifest.group != "rbac.authorization.k8s.io" and not pattern.fullmatch(manifest.name):
        yield ("metadata", "name"), f"{manifest.name!r} is no name for a {manifest.kind}"
    elif len(manifest.name) > longest:
        yield ("metadata", "name"), f"{len(manifest.name)} characters; a {manifest.kind} may have {longest}"


@whole("name-duplicate")
def name_duplicate(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Two objects of one kind have different names."""
    seen = set()
    for one in manifests.all:
        key = (one.group, one.kind, text(one.document, "metadata", "namespace"), one.name)
        if key in seen:
            yield one, ("metadata", "name"), "another document has the same kind and name, and would be replaced"
        seen.add(key)


@whole("namespace-other")
def namespace_other(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Every object is in a namespace that the export makes, and cluster-wide ones are in none."""
    made = {one.name for one in manifests.of_kind("Namespace")}
    for one in manifests.all:
        there = at(one.document, "metadata", "namespace")
        if one.kind in _CLUSTER_WIDE:
            if there is not None:
                yield one, ("metadata", "namespace"), f"a {one.kind} has no namespace"
        elif not isinstance(there, str) or there not in made:
            yield one, ("metadata", "namespace"), f"{there!r} is none of {sorted(made)}"


@each_document("label-invalid")
def label_invalid(manifest: Manifest) -> Iterator[Found]:
    """Labels and label selectors have keys and values that Kubernetes takes, and annotations such keys."""
    for path, labels in _labels(manifest.document):
        for key, value in labels.items():
            if not _qualified(key):
                yield (*path, key), f"{key!r} is no key"
            elif path[-1] != "annotations" and not (isinstance(value, str) and _VALUE.fullmatch(value)):
                yield (*path, key), f"{value!r} is no label value"


def _labels(document: Mapping[str, Any]) -> Iterator[tuple[Pointer, Mapping[str, Any]]]:
    for path, node in nodes(document):
        if path and path[-1] == "metadata":
            yield from (((*path, key), mapping(node, key)) for key in ("labels", "annotations"))
        if isinstance(node.get("matchLabels"), Mapping):
            yield (*path, "matchLabels"), node["matchLabels"]
        if path and path[-1] == "nodeSelector":
            yield path, node


def _qualified(key: str) -> bool:
    prefix, slash, name = str(key).rpartition("/")
    return bool(_KEY.fullmatch(name)) and (not slash or bool(_SUBDOMAIN.fullmatch(prefix)))


@each_pod("container-name")
def container_name(pod: Pod) -> Iterator[Found]:
    """Containers of a pod have names of their own, in the form of a DNS label."""
    # Argo calls a template's only container main.
    names = [(one.where, text(one.spec, "name")) for one in pod.containers if not pod.step or "name" in one.spec]
    counted = Counter(name for _, name in names)
    for where, name in names:
        if not _LABEL.fullmatch(name):
            yield (*where, "name"), f"{name!r} is no name for a container"
        elif counted[name] > 1:
            yield (*where, "name"), f"two containers are called {name}"


@each_container("port-name")
def port_name(pod: Pod, container: Container) -> Iterator[Found]:
    """A port has a name of up to 15 lower-case letters, digits and '-', which no other port of the container has."""
    seen = set()
    for path, port in entries(container.spec, "ports"):
        name = port.get("name")
        if name is not None and not _PORT.fullmatch(str(name)):
            yield (*path, "name"), f"{name!r} is no name for a port"
        elif name is not None and name in seen:
            yield (*path, "name"), f"two ports are called {name}"
        seen.add(name)


@each_container("env-name")
def env_name(pod: Pod, container: Container) -> Iterator[Found]:
    """An environment variable has a name that a shell can read."""
    for path, entry in entries(container.spec, "env"):
        if not _ENV.fullmatch(text(entry, "name")):
            yield (*path, "name"), f"{entry.get('name')!r} is no name for a variable"


@each_container("env-duplicate")
def env_duplicate(pod: Pod, container: Container) -> Iterator[Found]:
    """An environment variable is set once."""
    counted = Counter(text(entry, "name") for _, entry in entries(container.spec, "env"))
    for path, entry in entries(container.spec, "env"):
        if counted[text(entry, "name")] > 1:
            yield (*path, "name"), f"{text(entry, 'name')} is set {counted[text(entry, 'name')]} times"


@each_container("env-not-text")
def env_not_text(pod: Pod, container: Container) -> Iterator[Found]:
    """The value of an environment variable is a text, and not what YAML makes of one."""
    for path, entry in entries(container.spec, "env"):
        if "value" in entry and not isinstance(entry["value"], str):
            yield (*path, "value"), f"{entry['value']!r} is no text"
        elif "value" in entry and "valueFrom" in entry:
            yield path, "it has a value and a reference"


@each_document("data-key")
def data_key(manifest: Manifest) -> Iterator[Found]:
    """Entries of a ConfigMap or Secret have names that can be files, and texts."""
    if manifest.kind in ("ConfigMap", "Secret"):
        for key, value in mapping(manifest.document, "data").items():
            if not _DATA.fullmatch(str(key)) or key in (".", ".."):
                yield ("data", key), f"{key!r} is no key"
            elif not isinstance(value, str):
                yield ("data", key), f"{value!r} is no text"


@whole("pod-labels-missing")
def pod_labels_missing(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """Every pod says which component it is of, so that network policies and people find it."""
    for manifest in manifests.all:
        for pod in pods(manifest):
            if "app.kubernetes.io/component" not in pod.labels:
                yield manifest, pod.where, "the pod has no label app.kubernetes.io/component"


RULES = (
    name_invalid,
    name_duplicate,
    namespace_other,
    label_invalid,
    container_name,
    port_name,
    env_name,
    env_duplicate,
    env_not_text,
    data_key,
    pod_labels_missing,
)
