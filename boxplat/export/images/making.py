"""`box export images`: folders to build from, built images, pushed images."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name

from boxplat.adapters import containers
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.model import File
from boxplat.core.paths import Paths
from boxplat.export.images.contents import Content, contents, pack
from boxplat.export.images.dockerfile import VARIANTS
from boxplat.export.images.model import Image
from boxplat.export.images.record import Recorded, record, recorded, tag
from boxplat.export.model import LOCK, Export
from boxplat.export.write import write

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Making:
    """What to do with the images.

    `arguments` are Docker's build arguments, `wheels` is a folder of packages to take before those of an index.
    `variant` is cpu or cuda, `only` the components (all if empty), `push` implies `build`.
    """

    build: bool = False
    push: bool = False
    variant: str = "cpu"
    arguments: Mapping[str, str] = field(default_factory=dict)
    wheels: Path | None = None
    only: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """An image of so many packages, and what was built of the same inputs, now or before; `left_out` as in `Image`."""

    component: str
    tag: str
    packages: int
    left_out: tuple[str, ...]
    recorded: Recorded | None = None


def make(paths: Paths, images: Sequence[Image], registry: str, making: Making, told: Told) -> list[Made]:
    """Build and push what is asked for; what was pushed is what the next export names.

    Raises:
        BoxError: an unknown component (exit code 9) or variant (2), no engine (4), a build or push that fails.
    """
    wheels = _wheels(making)
    chosen = _chosen(images, making.only)
    tags = {image.component: tag(image, registry) for image in chosen}
    before, done = recorded(paths), dict[str, Recorded]()
    if making.build or making.push:
        client = containers.connect()
        try:
            for image in chosen:
                done[image.component] = _build(client, image, tags[image.component], making, wheels, told)
                record(paths, {image.component: done[image.component]})
        finally:
            client.close()
    return [_made(image, tags[image.component], before | done) for image in chosen]


def _made(image: Image, name: str, built: Mapping[str, Recorded]) -> Made:
    found = built.get(image.component)
    same = found if found is not None and found.tag == name else None
    return Made(image.component, name, len(image.lock), image.left_out, same)


def _build(
    client: containers.Client, image: Image, name: str, making: Making, wheels: Sequence[Path], told: Told
) -> Recorded:
    told(f"building {name}")
    with tempfile.TemporaryFile(prefix="boxplat-image-") as folder:
        pack(contents(image, [wheel for wheel in wheels if _locked(wheel, image)]), folder)
        folder.seek(0)
        arguments = {**making.arguments, "VARIANT": making.variant}
        built = containers.build(client, folder, name, arguments, told)
    pinned = ""
    if making.push:
        told(f"pushing {name}")
        pinned = f"{name.rpartition(':')[0]}@{containers.push(client, name, told)}"
    return Recorded(name, pinned, built.id, built.size)


def folders(images: Sequence[Image], only: Sequence[str], output: Path) -> list[str]:
    """Write the folder that each image is built from, for `docker build FOLDER/COMPONENT` or another builder.

    Returns:
        The paths written, relative to `output`.

    Raises:
        BoxError: `output` holds something else than an earlier export (exit code 4).
    """
    found: dict[str, Content] = {
        f"{image.component}/{one.place}": one for image in _chosen(images, only) for one in contents(image)
    }
    files = {path: one.read() for path, one in found.items()}
    sums = {path: hashlib.sha256(content).hexdigest() for path, content in sorted(files.items())}
    lock = File(LOCK, json.dumps({"schema_version": 1, "made_by": "boxplat", "files": sums}, indent=2) + "\n")
    write(Export(files=(lock,), packages=files), output)
    return sorted([LOCK, *files])


def _chosen(images: Sequence[Image], only: Sequence[str]) -> list[Image]:
    known = {image.component: image for image in images}
    for component in only:
        if component not in known:
            raise not_found("image", component, known, "box export images")
    return [image for image in images if not only or image.component in only]


def _wheels(making: Making) -> list[Path]:
    if making.variant not in VARIANTS:
        raise BoxError(
            f"no variant {making.variant!r} of the images",
            why=f"there are {' and '.join(VARIANTS)}",
            fix="box export images --build --variant cuda",
            code=ExitCode.USAGE,
        )
    if making.wheels is None:
        return []
    found = sorted(making.wheels.glob("*.whl"))
    if not found:
        raise BoxError(
            f"no packages in {making.wheels}",
            why="there is no *.whl in it",
            fix=f"pip download --dest {making.wheels} PACKAGE==VERSION",
            code=ExitCode.NOT_FOUND,
        )
    return found


def _locked(wheel: Path, image: Image) -> bool:
    """Whether a wheel is of a version that the image holds, in whatever build."""
    name, version = wheel.name.split("-")[:2]
    return image.lock.get(canonicalize_name(name)) == version.partition("+")[0]
