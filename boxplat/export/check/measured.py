"""Requests against what the lock says that steps took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from boxplat.export.check.model import Manifest, Manifests
from boxplat.export.check.pods import pods
from boxplat.export.check.quantities import amount
from boxplat.export.check.rules import whole
from boxplat.export.pointers import Pointer, at, mapping, text

_FLOW = ("metadata", "annotations", "metaflow/flow_name")
# Requests are whole MiB and thousandths of a core, rounded up.
_UNITS: Mapping[str, tuple[str, Decimal, Decimal]] = {
    "memory": ("memory_mib", Decimal(2**20), Decimal(2**20)),
    "cpu": ("cpu", Decimal(1), Decimal("0.001")),
}


@whole("request-not-measured")
def request(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """A step that has run asks for the peak of memory and cores that the lock has, and the margin."""
    inputs = mapping(manifests.lock, "inputs")
    margin = Decimal(str(inputs.get("margin", 0)))
    for manifest in manifests.of_kind("WorkflowTemplate"):
        steps = mapping(inputs, "measured", text(manifest.document, *_FLOW))
        named = {name.replace("_", "-"): peak for name, peak in steps.items()}
        for pod in pods(manifest):
            for container in pod.containers:
                for kind, what in _wrong(container.spec, mapping(named, pod.step.replace("_", "-")), margin):
                    yield manifest, (*container.where, "resources", "requests", kind), what


def _wrong(container: Mapping[str, Any], peak: Mapping[str, Any], margin: Decimal) -> Iterator[tuple[str, str]]:
    for kind, (key, unit, step) in _UNITS.items():
        took, asked = peak.get(key), at(container, "resources", "requests", kind)
        if not took or not peak.get("runs"):
            continue
        needed, given = Decimal(str(took)) * unit * (1 + margin), amount(asked)
        # Peaks are floats: what is rounded up may be off by their last digit.
        if given is None or not -step / 1000 <= given - needed < step * Decimal("1.001"):
            yield kind, f"{asked} is asked for, {took} and {margin:%} were measured"


RULES = (request,)
