"""The folders as Kustomize reads them, and what it makes of them."""

from __future__ import annotations

import posixpath
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which

from boxplat.export.check import yamltext
from boxplat.export.check.folder import Folder
from boxplat.export.check.model import Fault
from boxplat.export.pointers import Pointer, at, entries, text, texts, written

ABOUT = {
    "kustomize-path": "Every file and folder that a kustomization names is there",
    "kustomize-file-unused": "Every manifest is named by the kustomization of its folder",
    "kustomize-image-tag": "A kustomization replaces no image by a tag, which would drop its digest",
    "kustomize-rendered": "kubectl kustomize makes of an overlay what rendered/ has, document for document",
}
_SECONDS = 60


def faults(folder: Folder, place: Path) -> Iterator[Fault]:
    """Broken rules of the folders, and of the rendered files where `kubectl` is there to hold them against."""
    for path, documents in folder.documents.items():
        if posixpath.basename(path) == "kustomization.yaml":
            for one in documents:
                yield from _listed(folder, path, one)
    if which("kubectl") is not None:
        for path in folder.documents:
            if path.startswith("rendered/"):
                yield from _rendered(folder, place, path)


def unchecked() -> str:
    """What cannot be looked at on this machine; empty where everything can."""
    return (
        "" if which("kubectl") is not None else "kustomize-rendered: kubectl, which brings Kustomize, is not installed"
    )


def _listed(folder: Folder, path: str, content: object) -> Iterator[Fault]:
    here = posixpath.dirname(path)
    named = set()
    for pointer, name in _names(content):
        target = posixpath.normpath(posixpath.join(here, name))
        named.add(target)
        if target not in folder.files and f"{target}/kustomization.yaml" not in folder.files:
            yield Fault("kustomize-path", path, written(pointer), f"{name} is not there")
    for file in folder.documents:
        if posixpath.dirname(file) == here and file != path and file not in named:
            yield Fault("kustomize-file-unused", file, "", f"{path} does not name it")
    for pointer, image in entries(content, "images"):
        if "newTag" in image and "digest" not in image:
            yield Fault("kustomize-image-tag", path, written(pointer), f"{text(image, 'name')} loses its digest")


def _names(content: object) -> Iterator[tuple[Pointer, str]]:
    for key in ("resources", "components", "patchesStrategicMerge"):
        yield from texts(content, key)
    for pointer, patch in entries(content, "patches"):
        if text(patch, "path"):
            yield pointer, text(patch, "path")


def _rendered(folder: Folder, place: Path, path: str) -> Iterator[Fault]:
    overlay = Path(path).stem
    command = ["kubectl", "kustomize", str(place / "overlays" / overlay)]
    try:
        child = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        yield Fault("kustomize-rendered", path, "", f"kubectl kustomize took longer than {_SECONDS} s")
        return
    if child.returncode != 0:
        said = child.stderr.strip().splitlines()
        yield Fault("kustomize-rendered", path, "", said[-1] if said else "kubectl kustomize failed")
        return
    # Kustomize's own output is its own affair; only what it says counts.
    made, _ = yamltext.read(child.stdout)
    there = folder.documents[path]
    for index, (one, other) in enumerate(zip(made, there, strict=False)):
        if one != other:
            title = f"{at(one, 'kind')}/{at(one, 'metadata', 'name')}"
            yield Fault("kustomize-rendered", path, "", f"document {index + 1}: kubectl has another {title}")
    if len(made) != len(there):
        yield Fault("kustomize-rendered", path, "", f"kubectl renders {len(made)} documents, not {len(there)}")
