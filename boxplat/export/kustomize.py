"""Kustomize's layers: what changes documents as files that `kubectl kustomize` reads, and the same done in Python.

Of Kustomize only what these files use: resources in the order given, components, JSON patches (RFC 6902) of one
document each, removals, and labels. The tests hold the result against the real `kubectl kustomize`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from boxplat.core.model import File
from boxplat.export import document
from boxplat.export.model import Document

Identity = tuple[str, str, str, str]
_KUSTOMIZATION = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
_COMPONENT = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}


@dataclass(frozen=True, slots=True)
class Patch:
    """What is done to the document `target`; without operations it is taken away."""

    target: Identity
    operations: tuple[Document, ...] = ()


@dataclass(frozen=True, slots=True)
class Layer:
    """Documents that are added, then patches, then labels on all there is."""

    resources: tuple[Document, ...] = ()
    patches: tuple[Patch, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def made(self) -> bool:
        """Whether there is anything in it; Kustomize refuses an empty one."""
        return bool(self.resources or self.patches)


def identity(entry: Document) -> Identity:
    """API version, kind, namespace (empty for what has none) and name, which are one document's own."""
    metadata = entry["metadata"]
    return entry["apiVersion"], entry["kind"], metadata.get("namespace", ""), metadata["name"]


def changes(before: Iterable[Document], after: Iterable[Document]) -> Layer:
    """The layer that makes `after` of `before`; documents that both have are patched where they differ."""
    old, new = ({identity(entry): entry for entry in entries} for entries in (before, after))
    patches = []
    for key, entry in old.items():
        operations = tuple(_operations(entry, new[key], "")) if key in new else ()
        if operations or key not in new:
            patches.append(Patch(key, operations))
    return Layer(tuple(entry for key, entry in new.items() if key not in old), tuple(patches))


def build(base: Sequence[Document], components: Sequence[Layer], overlay: Layer) -> list[Document]:
    """The documents that `kubectl kustomize` prints for an overlay, in its order."""
    documents = [*base, *overlay.resources]
    for layer in components:
        documents = _patched([*documents, *layer.resources], layer.patches)
    documents = _patched(documents, overlay.patches)
    return [_labelled(entry, overlay.labels) for entry in documents]


def files(folder: str, layer: Layer, resources: Sequence[str], components: Sequence[str] | None) -> list[File]:
    """A layer as a folder.

    Args:
        resources: other folders that it starts from.
        components: those that it opts in to; None where the layer is itself a component.
    """
    made = {file_name(entry): document.dump(entry) for entry in layer.resources}
    patched = {f"patch-{patch.target[1].lower()}-{patch.target[3]}.yaml": patch for patch in layer.patches}
    content: Document = dict(_COMPONENT if components is None else {**_KUSTOMIZATION, "sortOptions": {"order": "fifo"}})
    lists = {"resources": [*resources, *made], "components": list(components or ())}
    content |= {key: entries for key, entries in lists.items() if entries}
    if layer.labels:
        content["labels"] = [{"pairs": dict(layer.labels)}]
    if patched:
        content["patches"] = [_reference(name, patch) for name, patch in patched.items()]
    made |= {name: document.dump(_patch(patch)) for name, patch in patched.items()}
    made["kustomization.yaml"] = document.dump(content)
    return [File(f"{folder}/{name}", text) for name, text in made.items()]


def kustomization(folder: str, resources: Sequence[str]) -> File:
    """`kustomization.yaml` of a folder that only lists others and files."""
    return File(f"{folder}/kustomization.yaml", document.dump({**_KUSTOMIZATION, "resources": list(resources)}))


def file_name(entry: Document) -> str:
    """The name of a document's file in the folder of its component."""
    return f"{entry['kind'].lower()}-{entry['metadata']['name']}.yaml"


def _reference(name: str, patch: Patch) -> Document:
    if not patch.operations:
        return {"path": name}
    version, kind, namespace, title = patch.target
    group, _, number = version.rpartition("/")
    # Kustomize takes the name for a regular expression.
    target = {
        "group": group,
        "version": number,
        "kind": kind,
        "name": title.replace(".", r"\."),
        "namespace": namespace,
    }
    return {"path": name, "target": {key: value for key, value in target.items() if value}}


def _patch(patch: Patch) -> Any:
    if patch.operations:
        return list(patch.operations)
    version, kind, namespace, name = patch.target
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"$patch": "delete", "apiVersion": version, "kind": kind, "metadata": metadata}


def _operations(old: Any, new: Any, path: str) -> Iterator[Document]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            there = f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"
            if key not in new:
                yield {"op": "remove", "path": there}
            elif key not in old:
                yield {"op": "add", "path": there, "value": new[key]}
            else:
                yield from _operations(old[key], new[key], there)
    elif isinstance(old, list) and isinstance(new, list) and len(old) <= len(new):
        for index, (one, other) in enumerate(zip(old, new, strict=False)):
            yield from _operations(one, other, f"{path}/{index}")
        yield from ({"op": "add", "path": f"{path}/-", "value": entry} for entry in new[len(old) :])
    # To Python true is 1 and 1 is 1.0; in a manifest they are not the same.
    elif type(old) is not type(new) or old != new:
        yield {"op": "replace", "path": path, "value": new}


def _patched(documents: Sequence[Document], patches: Iterable[Patch]) -> list[Document]:
    by = {patch.target: patch for patch in patches}
    found = []
    for entry in documents:
        patch = by.get(identity(entry))
        if patch is None:
            found.append(entry)
        elif patch.operations:
            found.append(_applied(entry, patch.operations))
    return found


def _applied(entry: Document, operations: Iterable[Document]) -> Document:
    changed = copy.deepcopy(entry)
    for operation in operations:
        *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        at: Any = changed
        for part in parents:
            at = at[int(part)] if isinstance(at, list) else at[part]
        _apply(at, last, operation)
    return changed


def _apply(at: Any, last: str, operation: Document) -> None:
    value = copy.deepcopy(operation.get("value"))
    if isinstance(at, list):
        if last == "-":
            at.append(value)
        else:
            at[int(last)] = value
    elif operation["op"] == "remove":
        del at[last]
    elif (operation["op"] == "add") == (last in at):
        raise ValueError(f"two layers change {operation['path']}")
    else:
        at[last] = value


def _labelled(entry: Document, labels: Mapping[str, str]) -> Document:
    if not labels:
        return entry
    metadata = entry["metadata"]
    return entry | {"metadata": metadata | {"labels": metadata.get("labels", {}) | dict(labels)}}
