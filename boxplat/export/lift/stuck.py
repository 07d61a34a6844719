"""Why a pod does not run, in the words of the cluster, as an error that says what to do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.adapters.cluster import Cluster, Kind, Refusal
from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.lift.bundle import Ref
from boxplat.export.lift.refusals import remedy
from boxplat.export.model import Document

PODS = Kind("v1", "Pod", "pods", namespaced=True)
_EVENTS = Kind("v1", "Event", "events", namespaced=True)
_LINES = 8
_AT_ONCE = ("InvalidImageName", "ImageInspectError", "ErrImageNeverPull")
_IMAGE = ("ImagePullBackOff", "ErrImagePull", *_AT_ONCE)
_CONFIG = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_GROWING = "TriggeredScaleUp"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a state may last before it is called stuck, and between two looks (`poll`).

    `crashes` is how many times a container may end before it is given up; `ready` how long a wave may take.
    """

    poll: float = 2.0
    image: float = 15.0
    config: float = 20.0
    pending: float = 30.0
    mounting: float = 50.0
    refused: float = 15.0
    crashes: int = 2
    ready: float = 900.0


@dataclass
class Watch:
    """Since when each thing has been in its present state, for one wait."""

    cluster: Cluster
    patience: Patience
    clock: Callable[[], float] = time.monotonic
    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def longer(self, what: str, state: str, seconds: float) -> bool:
        """Whether something is in a state for longer than some seconds; a new state counts from now."""
        now = self.clock()
        for key in [key for key in self._since if key[0] == what and key[1] != state]:
            del self._since[key]
        return now - self._since.setdefault((what, state), now) >= seconds

    def check(self, owner: Ref, pods: Iterable[Document]) -> None:
        """Look whether a pod is stuck.

        Raises:
            BoxError: one is (exit code 1; 8 where the cluster has no room for it).
        """
        for pod in pods:
            if pod["metadata"].get("deletionTimestamp"):
                continue
            for problem in (self._containers, self._unschedulable, self._mounting):
                error = problem(owner, pod)
                if error is not None:
                    raise error

    def _containers(self, owner: Ref, pod: Document) -> BoxError | None:
        status = pod.get("status", {})
        for entry in [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]:
            waiting = entry.get("state", {}).get("waiting", {})
            reason, key = waiting.get("reason", ""), f"{pod['metadata']['name']}/{entry['name']}"
            if reason in _IMAGE and (reason in _AT_ONCE or self.longer(key, "image", self.patience.image)):
                return self._image(owner, pod, entry)
            if reason in _CONFIG and self.longer(key, reason, self.patience.config):
                return self._config(owner, pod, waiting)
            if entry.get("restartCount", 0) >= self.patience.crashes and reason == "CrashLoopBackOff":
                return self.crashed(owner, pod, entry)
        return None

    def _image(self, owner: Ref, pod: Document, entry: Mapping[str, Any]) -> BoxError:
        waiting = entry["state"]["waiting"]
        said = [waiting.get("message", ""), *_failures(self._events(pod))]
        return BoxError(
            f"{owner} cannot start: {waiting['reason']}: the nodes cannot pull {entry['image']}",
            why="\n".join(dict.fromkeys(filter(None, said))) or waiting["reason"],
            fix="box export images --build --push   (or let the nodes in to the registry; then: box lift --resume)",
            log=_hint(pod, "describe pod"),
        )

    def _config(self, owner: Ref, pod: Document, waiting: Mapping[str, Any]) -> BoxError:
        return BoxError(
            f"{owner} cannot start: {waiting['reason']}",
            why="\n".join(dict.fromkeys([waiting.get("message", ""), *_failures(self._events(pod))])) or "no message",
            fix=f"kubectl get -n {pod['metadata']['namespace']} secrets,configmaps   (then: box lift --resume)",
            log=_hint(pod, "describe pod"),
        )

    def crashed(self, owner: Ref, pod: Document, entry: Mapping[str, Any]) -> BoxError:
        """The error for a container that ends again and again, or has ended for good, with its last lines."""
        before = entry.get("lastState", {}).get("terminated")
        ended = before or entry.get("state", {}).get("terminated") or {}
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        reason = ended.get("reason", "Error")
        # The kubelet waits for up to five minutes before the next try; a new pod starts at once.
        anew = f"kubectl delete pod -n {namespace} {name}; " if before else ""
        fix = f"kubectl logs -n {namespace} {name} -c {entry['name']}   (then: {anew}box lift --resume or --rollback)"
        if reason == "OOMKilled":
            fix = f"give {owner} more memory in boxplat.toml, then: box lift"
        return BoxError(
            f"{owner} does not stay up: {entry['name']} ended with status {ended.get('exitCode', '?')} ({reason})",
            why=self._last_lines(namespace, name, entry["name"], previous=before is not None),
            fix=fix,
            log=_hint(pod, "logs", f"-c {entry['name']}"),
        )

    def _last_lines(self, namespace: str, pod: str, container: str, previous: bool) -> str:
        try:
            text = self.cluster.log(namespace, pod, container, previous, _LINES)
        except Refusal as refusal:
            return f"its log cannot be read: {refusal.message}"
        return text.strip() or "it said nothing"

    def _unschedulable(self, owner: Ref, pod: Document) -> BoxError | None:
        for condition in pod.get("status", {}).get("conditions", []):
            if condition["type"] != "PodScheduled" or condition["status"] != "False":
                continue
            if not self.longer(pod["metadata"]["name"], "pending", self.patience.pending):
                return None
            if any(event.get("reason") == _GROWING for event in self._events(pod)):
                return None
            return BoxError(
                f"{owner} is Pending: no node takes its pod",
                why=condition.get("message", condition.get("reason", "")),
                fix="kubectl describe nodes   (more or larger nodes, smaller requests, or [gpus.NAME] in boxplat.toml; "
                "then: box lift --resume)",
                log=_hint(pod, "describe pod"),
                code=ExitCode.NO_COMPUTE,
            )
        return None

    def _mounting(self, owner: Ref, pod: Document) -> BoxError | None:
        status = pod.get("status", {})
        entries = [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]
        creating = any(
            entry.get("state", {}).get("waiting", {}).get("reason") == "ContainerCreating" for entry in entries
        )
        if not creating or not self.longer(pod["metadata"]["name"], "creating", self.patience.mounting):
            return None
        said = _failures(self._events(pod))
        if not said:
            return None
        return BoxError(
            f"{owner} cannot start: its pod is not set up",
            why="\n".join(said),
            fix=f"kubectl get -n {pod['metadata']['namespace']} pvc,secrets,configmaps   (then: box lift --resume)",
            log=_hint(pod, "describe pod"),
        )

    def unmade(self, owner: Ref, message: str) -> BoxError | None:
        """The error for pods that Kubernetes may not even make: quota, PodSecurity, admission."""
        if not self.longer(str(owner), "refused", self.patience.refused):
            return None
        return BoxError(
            f"{owner} gets no pods: the cluster refuses to make them",
            why=message,
            fix=remedy(owner, 403, message),
            code=ExitCode.NO_COMPUTE if "exceeded quota" in message else ExitCode.FAILED,
        )

    def refusals(self, namespace: str, uid: str) -> list[str]:
        """What was said when pods of an owner could not be made."""
        events = self.cluster.list(_EVENTS, namespace, fieldSelector=f"involvedObject.uid={uid}")
        return [event["message"] for event in events if event.get("reason") == "FailedCreate"]

    def _events(self, pod: Document) -> Sequence[Document]:
        metadata = pod["metadata"]
        try:
            return list(
                self.cluster.list(_EVENTS, metadata["namespace"], fieldSelector=f"involvedObject.uid={metadata['uid']}")
            )
        except Refusal:
            # Telling more is not worth failing for.
            return []


def _failures(events: Iterable[Document]) -> list[str]:
    return list(dict.fromkeys(event["message"] for event in events if event.get("type") == "Warning"))[-3:]


def _hint(pod: Document, verb: str, more: str = "") -> str:
    metadata = pod["metadata"]
    return f"kubectl {verb} -n {metadata['namespace']} {metadata['name']} {more}".rstrip()


def ended(pods: Iterable[Document]) -> Iterator[tuple[Document, Mapping[str, Any]]]:
    """Containers that have failed for good: pod and status."""
    for pod in pods:
        for entry in pod.get("status", {}).get("containerStatuses", []):
            if entry.get("state", {}).get("terminated", {}).get("exitCode", 0):
                yield pod, entry
