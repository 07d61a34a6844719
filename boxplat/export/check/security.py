"""What PodSecurity `restricted` refuses (https://kubernetes.io/docs/concepts/security/pod-security-standards/),
least privilege, and the guards of a namespace."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.rules import each_container, each_document, each_pod, whole
from boxplat.export.pointers import Pointer, entries, mapping, text, texts

_VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
_SYSCTLS = frozenset(
    {"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"}
    | {"net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range", "net.ipv4.ip_local_reserved_ports"}
)
_WRITE = frozenset({"create", "update", "patch", "delete", "deletecollection", "*"})
_MODES = ("enforce",)
Named = tuple[Manifest, Pointer, str]


def _said(pod: Pod, container: Container, key: str) -> Any:
    """What the container says, or else its pod."""
    own = mapping(container.spec, "securityContext")
    return own.get(key, mapping(pod.spec, "securityContext").get(key))


@each_container("security-run-as-root")
def run_as_root(pod: Pod, container: Container) -> Iterator[Found]:
    """A container runs as somebody else than root, and says so."""
    if _said(pod, container, "runAsNonRoot") is not True:
        yield ("securityContext", "runAsNonRoot"), "it is not true"
    if _said(pod, container, "runAsUser") == 0:
        yield ("securityContext", "runAsUser"), "it is root's"


@each_container("security-seccomp")
def seccomp(pod: Pod, container: Container) -> Iterator[Found]:
    """A container has the runtime's seccomp profile."""
    profile = _said(pod, container, "seccompProfile")
    if mapping(profile).get("type") not in ("RuntimeDefault", "Localhost"):
        yield ("securityContext", "seccompProfile"), f"it is {profile!r}"


@each_container("security-privileges")
def privileges(pod: Pod, container: Container) -> Iterator[Found]:
    """A container is not privileged and cannot become so."""
    own = mapping(container.spec, "securityContext")
    if own.get("privileged") not in (None, False):
        yield ("securityContext", "privileged"), "it is privileged"
    if own.get("allowPrivilegeEscalation") is not False:
        yield ("securityContext", "allowPrivilegeEscalation"), "it is not false"
    if own.get("procMount") not in (None, "Default"):
        yield ("securityContext", "procMount"), f"it is {own['procMount']!r}"


@each_container("security-capabilities")
def capabilities(pod: Pod, container: Container) -> Iterator[Found]:
    """A container drops all capabilities, and adds none but NET_BIND_SERVICE."""
    own = mapping(container.spec, "securityContext", "capabilities")
    if "ALL" not in (own.get("drop") or ()):
        yield ("securityContext", "capabilities", "drop"), "ALL is not dropped"
    if set(own.get("add") or ()) - {"NET_BIND_SERVICE"}:
        yield ("securityContext", "capabilities", "add"), f"{own['add']} are added"


@each_pod("security-host")
def host(pod: Pod) -> Iterator[Found]:
    """A pod shares neither network nor processes with its node, and sets no sysctls that are not safe."""
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.spec.get(key):
            yield (*pod.where, key), "it is true"
    for path, entry in entries(pod.spec, "securityContext", "sysctls"):
        if entry.get("name") not in _SYSCTLS:
            yield (*pod.where, *path), f"{entry.get('name')} is not safe"


@each_container("security-host-port")
def host_port(pod: Pod, container: Container) -> Iterator[Found]:
    """A container takes no port of its node."""
    for path, port in entries(container.spec, "ports"):
        if port.get("hostPort"):
            yield (*path, "hostPort"), f"it takes {port['hostPort']}"


@each_pod("security-volume")
def volume(pod: Pod) -> Iterator[Found]:
    """A pod mounts nothing of its node, only the kinds of volumes that `restricted` allows."""
    for path, entry in entries(pod.spec, "volumes"):
        strange = set(entry) - _VOLUMES - {"name"}
        if strange:
            yield (*pod.where, *path), f"a volume of kind {', '.join(sorted(map(str, strange)))}"


@each_container("security-root-filesystem")
def root_filesystem(pod: Pod, container: Container) -> Iterator[Found]:
    """A server cannot write to its image."""
    if pod.serves and mapping(container.spec, "securityContext").get("readOnlyRootFilesystem") is not True:
        yield ("securityContext", "readOnlyRootFilesystem"), "it is not true"


@whole("security-token")
def token(manifests: Manifests) -> Iterator[Named]:
    """A pod gets a token for the Kubernetes API only if its account has a role."""
    bound = {
        text(subject, "name")
        for one in manifests.of_kind("RoleBinding", "ClusterRoleBinding")
        for _, subject in entries(one.document, "subjects")
    }
    off = {
        o.name for o in manifests.of_kind("ServiceAccount") if o.document.get("automountServiceAccountToken") is False
    }
    for manifest in manifests.all:
        for pod in pods(manifest):
            account = text(pod.spec, "serviceAccountName") or "default"
            mounted = pod.spec.get("automountServiceAccountToken", account not in off)
            if mounted and account not in bound:
                yield manifest, pod.where, f"it gets a token of {account!r}, which has no role"


@each_document("security-rights")
def rights(manifest: Manifest) -> Iterator[Found]:
    """A role grants no wildcard and nothing on Secrets, and no role is bound for the whole cluster."""
    if manifest.kind in ("ClusterRole", "ClusterRoleBinding"):
        yield (), "it holds for the whole cluster"
    if manifest.kind not in ("Role", "ClusterRole"):
        return
    for path, rule in entries(manifest.document, "rules"):
        for key in ("verbs", "resources", "apiGroups"):
            if any(word == "*" for _, word in texts(rule, key)):
                yield (*path, key), "it is everything"
        named = {word.partition("/")[0] for _, word in texts(rule, "resources")}
        if "secrets" in named:
            yield (*path, "resources"), "it grants Secrets"
        if {"roles", "rolebindings"} & named and _WRITE & {word for _, word in texts(rule, "verbs")}:
            yield (*path, "resources"), "it can give itself rights"


@each_document("security-namespace-open")
def namespace_open(manifest: Manifest) -> Iterator[Found]:
    """The namespace refuses pods that `restricted` refuses."""
    if manifest.kind == "Namespace":
        for mode in _MODES:
            label = f"pod-security.kubernetes.io/{mode}"
            found = mapping(manifest.document, "metadata", "labels").get(label)
            if found != "restricted":
                yield ("metadata", "labels", label), f"it is {found!r}"


@whole("security-no-default-deny")
def default_deny(manifests: Manifests) -> Iterator[Named]:
    """In every namespace, what no network policy allows is denied in both directions."""
    denied = {
        (text(one.document, "metadata", "namespace"), kind)
        for one in manifests.of_kind("NetworkPolicy")
        if one.spec.get("podSelector") == {} and not one.spec.get("ingress") and not one.spec.get("egress")
        for _, kind in texts(one.spec, "policyTypes")
    }
    for one in manifests.of_kind("Namespace"):
        for kind in ("Ingress", "Egress"):
            if (one.name, kind) not in denied:
                yield one, (), f"no NetworkPolicy denies all {kind.lower()}"


@each_document("network-open")
def network_open(manifest: Manifest) -> Iterator[Found]:
    """A network policy allows named callers and ports; only among themselves may pods call every port."""
    if manifest.kind != "NetworkPolicy":
        return
    own = mapping(manifest.spec, "podSelector", "matchLabels")
    for key, side in (("ingress", "from"), ("egress", "to")):
        for path, rule in entries(manifest.spec, key):
            peers = [peer for _, peer in entries(rule, side)]
            if not peers:
                yield ("spec", *path), "it allows everybody"
            elif not rule.get("ports") and any(mapping(peer, "podSelector", "matchLabels") != own for peer in peers):
                yield ("spec", *path), "it allows every port"


@whole("guard-missing")
def guard_missing(manifests: Manifests) -> Iterator[Named]:
    """Every namespace has a quota and default limits."""
    for one in manifests.of_kind("Namespace"):
        there = {
            other.kind for other in manifests.all if mapping(other.document, "metadata").get("namespace") == one.name
        }
        for kind in ("ResourceQuota", "LimitRange"):
            if kind not in there:
                yield one, (), f"it has no {kind}"


@whole("guard-no-namespace")
def no_namespace(manifests: Manifests) -> Iterator[Named]:
    """An export makes the namespace that its objects are in."""
    if manifests.all and not any(manifests.of_kind("Namespace")):
        yield manifests.all[0], (), "no document is a Namespace"


@each_document("secret-in-manifest")
def secret_in_manifest(manifest: Manifest) -> Iterator[Found]:
    """An export holds no Secret; it names those that people make."""
    if manifest.kind == "Secret":
        yield (), "Secrets are referenced, never written"


@each_document("service-exposed")
def service_exposed(manifest: Manifest) -> Iterator[Found]:
    """A Service is reached from inside the cluster; what comes from outside comes by a Gateway's route."""
    if manifest.kind == "Service" and manifest.spec.get("type", "ClusterIP") != "ClusterIP":
        yield ("spec", "type"), f"it is {manifest.spec['type']}"
    if manifest.kind == "Service" and manifest.spec.get("externalIPs"):
        yield ("spec", "externalIPs"), "it takes addresses of nodes"


RULES = (
    run_as_root,
    seccomp,
    privileges,
    capabilities,
    host,
    host_port,
    volume,
    root_filesystem,
    token,
    rights,
    namespace_open,
    default_deny,
    network_open,
    guard_missing,
    no_namespace,
    secret_in_manifest,
    service_exposed,
)
