"""One object put on the cluster; a Job that has failed, or that cannot be changed, makes room for a new one."""

from __future__ import annotations

from boxplat.adapters.cluster import Kind, Refusal
from boxplat.export.lift import rollout
from boxplat.export.lift.bundle import ref
from boxplat.export.lift.order import Call
from boxplat.export.lift.refusals import refused
from boxplat.export.model import Document


def put(call: Call, kind: Kind, document: Document, force: bool) -> None:
    """Apply an object.

    Args:
        force: take fields over from their other owners.

    Raises:
        BoxError: the cluster refuses it.
    """
    name = ref(document)
    try:
        if name.kind == "Job" and rollout.failed(call.cluster.read(kind, name.name, name.namespace)):
            _replace(call, kind, document, force)
        else:
            call.cluster.apply(kind, document, force=force)
    except Refusal as refusal:
        if name.kind != "Job" or "immutable" not in refusal.message:
            raise refused(name, refusal) from refusal
        _replace(call, kind, document, force)


def _replace(call: Call, kind: Kind, document: Document, force: bool) -> None:
    """A Job is neither changed nor run again: the former one goes, with its pods, and a new one takes its name."""
    name = ref(document)
    call.told(f"{name}: replacing")
    try:
        call.cluster.delete(kind, name.name, name.namespace)
        rollout.gone(call.watch, kind, name)
        call.cluster.apply(kind, document, force=force)
    except Refusal as refusal:
        raise refused(name, refusal, "replace") from refusal
