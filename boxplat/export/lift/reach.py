"""Whether the image registries answer from here."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from boxplat.export.lift.bundle import Bundle, pod_specs
from boxplat.export.lift.findings import Finding, danger

_SECONDS = 5.0
Asks = Callable[[str], int]


def registries(bundle: Bundle, asks: Asks) -> Iterator[Finding]:
    """The registries that the images name, each asked once."""
    for host in sorted({host for image in _images(bundle) if (host := registry(image))}):
        try:
            status = asks(f"https://{host}/v2/")
        except OSError as error:
            yield danger("registry", f"{host} does not answer from here: {error}", f"docker login {host}")
        else:
            # 401 is the answer of a registry that wants a login.
            if status not in (200, 401, 403):
                what = f"{host} answers {status}, which no image registry does"
                yield danger("registry", what, "set [export] registry in boxplat.toml")


def bare(bundle: Bundle) -> Iterator[Finding]:
    """Images that no node can pull."""
    found = [image for image in _images(bundle) if not registry(image)]
    if found:
        what = f"{len(found)} images name no registry, such as {found[0]}: the nodes must have them already"
        yield danger("registry", what, 'set [export] registry = "HOST/PATH" in boxplat.toml, then: box lift --images')


def ask(address: str) -> int:
    """The status of a GET.

    Raises:
        OSError: nobody answers.
    """
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            status: int = answer.status
            return status
    except urllib.error.HTTPError as error:
        return error.code


def registry(image: str) -> str:
    """The host in an image reference, empty where it names none."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def _images(bundle: Bundle) -> list[str]:
    specs = [spec for document in bundle.documents for spec in pod_specs(document)]
    return sorted({container["image"] for spec in specs for container in spec["containers"]})
