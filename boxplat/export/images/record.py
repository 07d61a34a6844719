"""Which images were built and pushed for a project (`.box/images.json`), and how manifests name them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.export.images.contents import digest
from boxplat.export.images.model import Image

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An image as it was built: `tag` names its inputs, `pinned` is its reference by digest once a registry has it.

    `id` is the engine's, `size` in bytes.
    """

    tag: str
    pinned: str = ""
    id: str = ""
    size: int = 0


def tag(image: Image, registry: str = "") -> str:
    """`REGISTRY/boxplat/PROJECT-COMPONENT:DIGEST`: another one whenever something else goes into the image."""
    prefix = f"{registry.rstrip('/')}/" if registry else ""
    return f"{prefix}boxplat/{image.project}-{image.component}:{digest(image)}"


def recorded(paths: Paths) -> dict[str, Recorded]:
    """The images by component that were last built or pushed here, or told with `--record`."""
    try:
        content = json.loads(_file(paths).read_text(encoding="utf-8"))
        return {component: Recorded(**entry) for component, entry in content["images"].items()}
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise BoxError(
            f"cannot read {_file(paths)}",
            why=str(error),
            fix=f"rm {_file(paths)}, then: box export images --build",
        ) from error


def record(paths: Paths, found: Mapping[str, Recorded]) -> None:
    """Add to what is recorded, in one step."""
    everything = {**recorded(paths), **found}
    content = {"schema_version": 1, "images": {key: asdict(one) for key, one in sorted(everything.items())}}
    fresh = _file(paths).with_suffix(".new")
    with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=2) + "\n")
    fresh.replace(_file(paths))


def references(paths: Paths, images: Iterable[Image], registry: str = "") -> dict[str, str]:
    """How manifests name the image of each component: by digest where one made of the same inputs was pushed."""
    known = recorded(paths)
    tags = {image.component: tag(image, registry) for image in images}
    unknown = Recorded("")
    return {
        component: found.pinned if (found := known.get(component, unknown)).tag == name and found.pinned else name
        for component, name in tags.items()
    }


def told(file: Path, images: Iterable[Image], registry: str = "") -> dict[str, Recorded]:
    """Images that were built elsewhere: a JSON file of references with digests by component.

    Raises:
        BoxError: it is no such file, or names something else than components and digests (exit code 2).
    """
    tags = {image.component: tag(image, registry) for image in images}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise _unusable(file, str(error)) from error
    for component, reference in entries.items():
        if component not in tags:
            raise _unusable(file, f"{component!r} is none of the components: {', '.join(sorted(tags))}")
        if not isinstance(reference, str) or not _DIGEST.fullmatch(reference.rpartition("@")[2]):
            raise _unusable(file, f"{component} needs a reference that ends in @sha256:…, not {reference!r}")
    return {component: Recorded(tags[component], reference) for component, reference in entries.items()}


def _unusable(file: Path, why: str) -> BoxError:
    return BoxError(
        f"cannot take images from {file}",
        why=why,
        fix='write {"COMPONENT": "NAME@sha256:…"}; box export images lists the components',
        code=ExitCode.USAGE,
    )


def _file(paths: Paths) -> Path:
    return paths.state / "images.json"
