"""Image references."""

from __future__ import annotations

import re
from collections.abc import Iterator

from boxplat.export.check.model import Found, Manifest, Manifests
from boxplat.export.check.pods import Container, Pod, pods
from boxplat.export.check.rules import each_container, whole
from boxplat.export.pointers import Pointer, mapping, text

_FORM = re.compile(
    r"(?:[\w.-]+(?::\d+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?",
    re.ASCII,
)
# What boxplat tags an image with that it has not built: a digest of all that goes into it.
_INPUTS = re.compile(r"[0-9a-f]{12,64}")


def _own(pod: Pod, container: Container) -> bool:
    """Whether the image is ours to name: Argo Events brings those of its listeners."""
    return pod.manifest.kind not in ("Sensor", "EventSource", "EventBus") or "image" in container.spec


@each_container("image-invalid")
def invalid(pod: Pod, container: Container) -> Iterator[Found]:
    """A container names an image in the form `name:tag@sha256:digest`."""
    if _own(pod, container) and not _FORM.fullmatch(text(container.spec, "image")):
        yield ("image",), f"{container.spec.get('image')!r} is no image"


@each_container("image-latest")
def latest(pod: Pod, container: Container) -> Iterator[Found]:
    """No image is whatever is the latest."""
    match = _FORM.fullmatch(text(container.spec, "image"))
    if match and not match["digest"] and match["tag"] in (None, "latest"):
        yield ("image",), f"{text(container.spec, 'image')} is another image tomorrow"


@each_container("image-not-pinned")
def not_pinned(pod: Pod, container: Container) -> Iterator[Found]:
    """An image is named by its digest, or by the digest of all that goes into it."""
    match = _FORM.fullmatch(text(container.spec, "image"))
    if match and match["tag"] not in (None, "latest") and not match["digest"] and not _INPUTS.fullmatch(match["tag"]):
        yield ("image",), f"the tag {match['tag']} may be given to another image"


@whole("image-not-in-lock")
def not_in_lock(manifests: Manifests) -> Iterator[tuple[Manifest, Pointer, str]]:
    """The lock names every image."""
    known = mapping(manifests.lock, "inputs", "images")
    for manifest in manifests.all if known else ():
        for pod in pods(manifest):
            for container in pod.containers:
                image = text(container.spec, "image")
                if _own(pod, container) and image not in known.values():
                    yield manifest, (*container.where, "image"), f"the lock does not name {image}"


RULES = (invalid, latest, not_pinned, not_in_lock)
