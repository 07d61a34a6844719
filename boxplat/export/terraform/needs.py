"""What machines must bear: the largest pods, what runs always, and the stores; read off the exported manifests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from boxplat.export.check.model import Manifest
from boxplat.export.check.pods import Pod, pods
from boxplat.export.check.quantities import amount
from boxplat.export.model import Document, ExportInput
from boxplat.export.pointers import mapping

GIB = 1024**3
_MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes in the local stores: the tracking database and the online features."""

    database: int = 0
    online: int = 0


@dataclass(frozen=True, slots=True)
class Room:
    """Cores and bytes of memory."""

    cores: float = 0.0
    memory: float = 0.0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a project asks of machines without and with GPUs.

    `cpu` and `gpu` are the largest single pods of the two kinds, `standing` is what always runs without a GPU.
    `gpu_memory` is the most that one GPU must have, in bytes, 0 where nothing uses one. `largest` names whose pods they
    are. The quota is how much may run at once.
    """

    cpu: Room
    gpu: Room
    standing: Room
    gpu_memory: float
    largest: dict[str, str]
    quota: Room
    gpus: int
    spot: bool
    stored: Stored


@dataclass(frozen=True, slots=True)
class _Asked:
    title: str
    room: Room
    gpu: bool
    always: int


def needs(inputs: ExportInput, documents: Sequence[Document], stored: Stored) -> Needs:
    """Read off the manifests, where requests are measured peaks and the margin."""
    asked = list(_asked(inputs, documents))
    without, with_gpu = ([one for one in asked if one.gpu is gpu] for gpu in (False, True))
    memory = [peak.vram_mib * _MIB for steps in inputs.measured.values() for peak in steps.values()]
    memory += [service.gpu_memory_mib * _MIB for service in inputs.services]
    quotas = [inputs.policy.quota, *({**inputs.policy.quota, **own.quota} for own in inputs.overlays.values())]
    return Needs(
        cpu=_most(without),
        gpu=_most(with_gpu),
        standing=Room(
            sum(one.always * one.room.cores for one in without), sum(one.always * one.room.memory for one in without)
        ),
        gpu_memory=max(memory, default=0.0) * (1 + inputs.policy.margin) if with_gpu else 0.0,
        largest={
            kind: max(found, key=lambda one: (one.room.memory, one.title)).title
            for kind, found in (("cpu", without), ("gpu", with_gpu))
            if found
        },
        quota=Room(
            max(_number(quota.get("requests.cpu")) for quota in quotas),
            max(_number(quota.get("requests.memory")) for quota in quotas),
        ),
        gpus=int(max(_number(quota.get("requests.nvidia.com/gpu")) for quota in quotas)),
        spot=any("spot" in own.components for own in inputs.overlays.values()),
        stored=stored,
    )


def _asked(inputs: ExportInput, documents: Sequence[Document]) -> Iterator[_Asked]:
    scaled = {
        entry["metadata"]["name"]: entry["spec"]["minReplicas"]
        for entry in documents
        if entry["kind"] == "HorizontalPodAutoscaler"
    }
    resources = {"nvidia.com/gpu", *(gpu.resource for gpu in inputs.policy.gpus.values())}
    for entry in documents:
        for pod in pods(Manifest(entry)):
            step = f" {pod.step}" if pod.step else ""
            replicas = scaled.get(pod.manifest.name, entry["spec"].get("replicas", 1)) if pod.serves else 0
            limits = [mapping(one.spec, "resources", "limits") for one in pod.containers]
            gpu = any(resources & set(limit) for limit in limits)
            yield _Asked(f"{pod.manifest.title}{step}", _room(pod), gpu, replicas)


def _room(pod: Pod) -> Room:
    """Containers run together, those that come first one by one before them."""

    def total(key: str) -> float:
        each = [(one.init, _number(mapping(one.spec, "resources", "requests").get(key))) for one in pod.containers]
        first = [number for init, number in each if init]
        return max([sum(number for init, number in each if not init), *first])

    return Room(total("cpu"), total("memory"))


def _most(asked: Sequence[_Asked]) -> Room:
    return Room(
        max((one.room.cores for one in asked), default=0.0), max((one.room.memory for one in asked), default=0.0)
    )


def _number(quantity: Any) -> float:
    return float(amount(quantity) or Decimal(0))
