"""An export's folder as it lies there: what its lock says, its files, and the manifests of every overlay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.check import yamltext
from boxplat.export.check.model import Fault, Manifest, Manifests
from boxplat.export.model import LOCK
from boxplat.export.pointers import mapping, text, written

ABOUT = {
    "lock-file-missing": "Every file that the lock names is there",
    "lock-file-changed": "Every file is as the lock has it: an export is made anew, not edited",
    "lock-file-unknown": "The lock names every file",
    "document-incomplete": "A manifest has apiVersion, kind and metadata.name",
    **yamltext.ABOUT,
}
_RENDERED = "rendered"
_LISTS = frozenset({"Kustomization", "Component"})


@dataclass(frozen=True)
class Folder:
    """The files of an export, by their path relative to it."""

    files: Mapping[str, bytes] = field(repr=False)
    lock: Mapping[str, Any] = field(repr=False)

    @cached_property
    def _read(self) -> tuple[dict[str, list[Any]], list[Fault]]:
        found: dict[str, list[Any]] = {}
        faults = []
        for path, content in self.files.items():
            if not path.endswith((".yaml", ".yml")):
                continue
            try:
                found[path], wrong = yamltext.read(content.decode("utf-8"))
            except ValueError as error:
                faults.append(Fault("yaml-invalid", path, "", str(error)))
                continue
            faults += [Fault(rule, path, written(pointer), what) for rule, pointer, what in wrong]
            faults += [
                Fault("document-incomplete", path, "", "apiVersion, kind or metadata.name is missing")
                for one in found[path]
                if not _is_list(path, one) and not _complete(one)
            ]
        return found, faults

    @property
    def documents(self) -> Mapping[str, list[Any]]:
        """The documents of each YAML file; files that are no YAML are left out."""
        return self._read[0]

    @cached_property
    def overlays(self) -> dict[str, Manifests]:
        """What each overlay comes to; the base where none is rendered."""
        rendered = {path: found for path, found in self.documents.items() if path.startswith(f"{_RENDERED}/")}
        if rendered:
            return {Path(path).stem: self._manifests(found) for path, found in rendered.items()}
        return {"base": self._manifests([one for path, found in self._plain() for one in found])}

    @cached_property
    def apart(self) -> tuple[Manifest, ...]:
        """Manifests that are in the export's folders, whether an overlay uses them or not."""
        return tuple(Manifest(one) for _, found in self._plain() for one in found if _complete(one))

    def _plain(self) -> Iterator[tuple[str, list[Any]]]:
        for path, found in self.documents.items():
            if path.startswith(("base/", "components/")) and not _is_list(path, *found):
                yield path, found

    def _manifests(self, documents: list[Any]) -> Manifests:
        return Manifests(tuple(Manifest(one) for one in documents if _complete(one)), self.lock)

    def faults(self) -> Iterator[Fault]:
        """What is wrong with the files as such."""
        named = mapping(self.lock, "files")
        for path, digest in named.items():
            if path not in self.files:
                yield Fault("lock-file-missing", path, "", "the lock names it")
            elif hashlib.sha256(self.files[path]).hexdigest() != digest:
                yield Fault("lock-file-changed", path, "", "it was changed after it was exported")
        for path in sorted(self.files.keys() - named.keys() - {LOCK}):
            yield Fault("lock-file-unknown", path, "", "no export wrote it")
        yield from self._read[1]


def read(folder: Path) -> Folder:
    """Read an export.

    Raises:
        BoxError: there is none (exit code 9), or its lock cannot be read (4).
    """
    if not (folder / LOCK).is_file():
        raise BoxError(
            f"{folder} is no export",
            why=f"there is no {LOCK} in it",
            fix=f"box export kubernetes -o {folder}",
            code=ExitCode.NOT_FOUND,
        )
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
    try:
        lock = json.loads(files[LOCK])
    except ValueError as error:
        lock, why = None, str(error)
    else:
        why = (
            f"it does not hold what an export writes: {', '.join(list(lock)[:5]) if isinstance(lock, dict) else lock!r}"
        )
    if not isinstance(lock, dict) or lock.get("made_by") != "boxplat" or not isinstance(lock.get("files"), dict):
        raise BoxError(
            f"the lock of the export in {folder} cannot be read",
            why=why,
            fix=f"export anew: box export kubernetes -o {folder}",
            code=ExitCode.PRECONDITION,
        )
    return Folder(files, lock)


def _complete(one: Any) -> bool:
    return bool(text(one, "apiVersion") and text(one, "kind") and text(one, "metadata", "name"))


def _is_list(path: str, *documents: Any) -> bool:
    """Whether a file is Kustomize's own: a list of files, or a patch."""
    name = Path(path).name
    patch = name.startswith("patch-") or path.startswith(("overlays/", "images/", "terraform/", "code/"))
    return patch or any(text(one, "kind") in _LISTS for one in documents)
