"""Pods of an export as processes here, with the environment, volumes and deadline that a kubelet would give them."""

from __future__ import annotations

import ctypes
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boxplat.export import names
from boxplat.export.model import Document
from boxplat.export.verify import sandbox
from boxplat.export.verify.network import Network
from boxplat.export.verify.workflow import FAILED, SUCCEEDED, Ended

_PR_SET_PDEATHSIG = 1
_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_TAIL = 6
_POLL = 0.1
_BYTECODE, _CODE = "/bytecode", "/task"
Told = Callable[[str], None]


class Missing(ValueError):
    """Something that a pod refers to and that is not in the export, nor among the stand-ins."""


@dataclass(frozen=True, slots=True)
class World:
    """What there is beside the pods.

    `secrets` and `configs` are the contents of Secrets and ConfigMaps by their names. `overrides` are variables that
    every pod gets whatever its manifest says: where storage is on this machine. `hosts` are addresses by name, `images`
    the folders and files of all images by their paths, `shared` folders that all pods write to, and `hidden` is what no
    pod may see.
    """

    folder: Path
    images: Mapping[str, Path]
    secrets: Mapping[str, Mapping[str, str]]
    shared: Mapping[str, Path] = field(default_factory=dict)
    configs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    overrides: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[Path] = ()
    namespace: str = "default"
    network: Network = field(default_factory=Network)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod to run: the document that has `volumes` and settings, its container, and who it is."""

    name: str
    spec: Document
    container: Document
    annotations: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    hosts: Mapping[str, str] = field(default_factory=dict)


class Processes:
    """Runs pods as processes, at most `workers` at once (a JobSet's count as one).

    Every pod gets a fresh folder below `world.folder`; its output goes to `NAME.log` there.
    """

    def __init__(self, world: World, workers: int) -> None:
        self._world, self._gate = world, threading.BoundedSemaphore(workers)
        self._stopped = threading.Event()

    def pod(self, name: str, template: Document) -> Ended:
        annotations = template.get("metadata", {}).get("annotations", {})
        with self._gate:
            return self.run(Pod(name, template, template["container"], annotations))

    def jobset(self, name: str, manifest: Document) -> Ended:
        pods = list(_members(name, manifest, self._world))
        broken = threading.Event()
        with self._gate, ThreadPoolExecutor(max_workers=len(pods)) as pool:
            ended = [pool.submit(self.run, pod, broken) for pod in pods]
            # The first that fails ends the others, which may wait for it.
            done = [future.result() for future in as_completed(ended)]
        return next((one for one in done if one.status == FAILED), Ended(SUCCEEDED))

    def stop(self) -> None:
        self._stopped.set()

    def run(self, pod: Pod, broken: threading.Event | None = None) -> Ended:
        """Run a pod's container to its end, or until another one of its set is broken; a failure breaks the set."""
        ended = self._run(pod, broken or threading.Event())
        if broken is not None and ended.status == FAILED:
            broken.set()
        return ended

    def _run(self, pod: Pod, broken: threading.Event) -> Ended:
        with self.started(pod) as (child, folder):
            given_up = self._waited(child, float(pod.spec.get("activeDeadlineSeconds") or math.inf), broken)
        if given_up:
            return Ended(FAILED, message=given_up)
        if child.returncode:
            return Ended(FAILED, message=self.said(pod.name) or f"it ended with status {child.returncode}")
        try:
            return Ended(SUCCEEDED, _outputs(pod, folder))
        except OSError as error:
            return Ended(FAILED, message=f"cannot read an output that the template declares: {error}")

    def _waited(self, child: subprocess.Popen[bytes], seconds: float, broken: threading.Event) -> str:
        """Wait for a process; why it is not waited for any longer, or an empty text when it has ended."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                child.wait(_POLL)
                return ""
            except subprocess.TimeoutExpired:
                if self._stopped.is_set():
                    return "interrupted"
                if broken.is_set():
                    return "another pod of the JobSet failed"
                if time.monotonic() > deadline:
                    return "Pod was active on the node longer than the specified deadline"

    def log(self, pod: str) -> Path:
        """Where a pod's output goes."""
        return self._world.folder / f"{pod}.log"

    @contextmanager
    def started(self, pod: Pod) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
        """The process of a pod and its folder; when the block ends, everything that it has started ends too."""
        folder = self._world.folder / pod.name
        (folder / "root").mkdir(parents=True, exist_ok=True)
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), *_FOLDERS]),
            "HOSTNAME": pod.name,
            **variables(pod, self._world),
            **self._world.overrides,
        }
        code = environment.get("METAFLOW_CODE_SHA")
        if code:
            environment["PYTHONPYCACHEPREFIX"] = _BYTECODE
        fixed = {**self._world.images, "/etc/hosts": self._hosts(pod, folder)}
        view = sandbox.View(self._mounts(pod, folder, code), fixed, self._world.hidden)
        argv = [*pod.container["command"], *pod.container.get("args", [])]
        argv = [_expanded(word, environment) for word in argv]
        command = sandbox.command(folder / "root", view, argv, pod.container.get("workingDir", names.ROOT))
        with self.log(pod.name).open("ab") as output:
            child = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_following_parent(),
            )
        try:
            yield child, folder
        finally:
            _end(child)

    def _hosts(self, pod: Pod, folder: Path) -> Path:
        hosts = {"localhost": "127.0.0.1", **self._world.hosts, **pod.hosts}
        (folder / "hosts").write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
        return folder / "hosts"

    def _mounts(self, pod: Pod, folder: Path, code: str | None) -> dict[str, Path]:
        mounts = {"/tmp": folder / "tmp", **self._world.shared}
        (folder / "tmp").mkdir(exist_ok=True)
        if code:
            # All unpack their code to the same place with the same times: those of the same code compile it once.
            shared, own = (self._world.folder / "bytecode" / name for name in ("packages", code))
            for cache in (shared / "task", own):
                cache.mkdir(parents=True, exist_ok=True)
            mounts |= {_BYTECODE: shared, f"{_BYTECODE}{_CODE}": own}
        volumes = {volume["name"]: volume for volume in pod.spec.get("volumes", [])}
        for mount in pod.container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                raise Missing(f"pod {pod.name} mounts volume {mount['name']}, which it does not declare")
            source = self._volume(volumes[mount["name"]], folder)
            mounts[mount["mountPath"]] = source / str(mount.get("subPath", ""))
        return mounts

    def _volume(self, volume: Document, folder: Path) -> Path:
        """The folder that stands for a volume."""
        here = folder / "volumes" / str(volume["name"])
        if "emptyDir" in volume:
            here.mkdir(parents=True, exist_ok=True)
        elif "persistentVolumeClaim" in volume:
            here = self._world.folder / "claims" / volume["persistentVolumeClaim"]["claimName"]
            here.mkdir(parents=True, exist_ok=True)
        elif "configMap" in volume or "secret" in volume:
            here.mkdir(parents=True, exist_ok=True)
            secret = "secret" in volume
            name = volume["secret"]["secretName"] if secret else volume["configMap"]["name"]
            content = _content(self._world, "Secret" if secret else "ConfigMap", name)
            for key, text in content.items():
                (here / key).write_text(text)
        else:
            raise Missing(f"volume {volume['name']} is of a kind that cannot be had here: {sorted(volume)}")
        return here

    def said(self, pod: str) -> str:
        """The last lines of a pod's output."""
        lines = self.log(pod).read_text(errors="replace").splitlines()
        return "\n".join(line.strip() for line in lines[-_TAIL:] if line.strip())


def variables(pod: Pod, world: World) -> dict[str, str]:
    """The environment of a pod's container, as a kubelet would make it.

    Raises:
        Missing: a Secret, ConfigMap or key that does not exist, or a field that pods do not have.
    """
    found: dict[str, str] = {}
    for source in pod.container.get("envFrom", []):
        kind = "Secret" if "secretRef" in source else "ConfigMap"
        reference = source["secretRef" if kind == "Secret" else "configMapRef"]
        found |= _content(world, kind, reference["name"])
    for entry in pod.container.get("env", []):
        found[entry["name"]] = (
            _expanded(entry.get("value", ""), found)
            if "valueFrom" not in entry
            else _value(entry["valueFrom"], pod, world)
        )
    return found


def _value(source: Document, pod: Pod, world: World) -> str:
    if "fieldRef" in source:
        return _fact(source["fieldRef"]["fieldPath"], pod, world)
    kind = "Secret" if "secretKeyRef" in source else "ConfigMap"
    key = "secretKeyRef" if kind == "Secret" else "configMapKeyRef"
    if key not in source:
        raise Missing(f"pod {pod.name} takes a variable from {sorted(source)}, which cannot be had here")
    reference = source[key]
    content = _content(world, kind, reference["name"])
    if reference["key"] not in content:
        raise Missing(f"{kind} {reference['name']} has no key {reference['key']}, which pod {pod.name} needs")
    return content[reference["key"]]


def _fact(path: str, pod: Pod, world: World) -> str:
    annotation = re.fullmatch(r"metadata\.(annotations|labels)\['(.+)'\]", path)
    if annotation:
        return (pod.annotations if annotation[1] == "annotations" else pod.labels).get(annotation[2], "")
    facts = {
        "metadata.name": pod.name,
        "metadata.namespace": world.namespace,
        "metadata.uid": str(uuid.uuid5(uuid.NAMESPACE_URL, pod.name)),
        "spec.serviceAccountName": str(pod.spec.get("serviceAccountName", "default")),
        "spec.nodeName": "here",
        "status.hostIP": "127.0.0.1",
        "status.podIP": pod.address,
    }
    if path not in facts:
        raise Missing(f"pod {pod.name} asks for {path}")
    return facts[path]


def _content(world: World, kind: str, name: str) -> Mapping[str, str]:
    known = world.secrets if kind == "Secret" else world.configs
    if name not in known:
        raise Missing(f"there is no {kind} {name}")
    return known[name]


def _expanded(text: str, known: Mapping[str, str]) -> str:
    """Kubernetes' own rule: `$(NAME)` is an earlier variable where there is one, `$$` is a dollar sign."""

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return known.get(found[1], found[0])

    return _REFERENCE.sub(value, text)


def _members(name: str, manifest: Document, world: World) -> Iterator[Pod]:
    """The pods of a JobSet with the names, annotations and addresses that its controller gives them."""
    own = manifest["metadata"]["name"]
    found: list[tuple[str, int, Document]] = [
        (job["name"], index, job["template"]["spec"]["template"])
        for job in manifest["spec"]["replicatedJobs"]
        for index in range(int(job["replicas"]))
    ]
    hosts: dict[str, str] = {}
    for job, index, template in found:
        domain = template["spec"].get("subdomain", own)
        hosts[f"{own}-{job}-{index}-0.{domain}.{world.namespace}.svc.cluster.local"] = world.network.address()
    for (job, index, template), address in zip(found, hosts.values(), strict=True):
        metadata: dict[str, Any] = template.get("metadata", {})
        yield Pod(
            f"{name}.{job}-{index}",
            template["spec"],
            template["spec"]["containers"][0],
            {
                **metadata.get("annotations", {}),
                "jobset.sigs.k8s.io/job-index": str(index),
                "jobset.sigs.k8s.io/restart-attempt": "0",
            },
            metadata.get("labels", {}),
            address,
            hosts,
        )


def _outputs(pod: Pod, folder: Path) -> dict[str, str]:
    """The contents of the files that the template declares as outputs."""
    volumes = {mount["mountPath"]: mount["name"] for mount in pod.container.get("volumeMounts", [])}
    found = {}
    for entry in pod.spec.get("outputs", {}).get("parameters", []):
        path = Path(entry["valueFrom"]["path"])
        place = next((parent for parent in path.parents if str(parent) in volumes), None)
        if place is None:
            raise Missing(f"output {entry['name']} of {pod.name} is at {path}, which lies in no volume")
        file = folder / "volumes" / volumes[str(place)] / path.relative_to(place)
        default = entry["valueFrom"].get("default")
        found[entry["name"]] = default if default is not None and not file.exists() else file.read_text()
    return found


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process and all of its session that is left."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()


def _following_parent() -> Callable[[], None] | None:
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    return prepare
