"""An export as it is about to be applied: the documents of one overlay and the lock that vouches for them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from boxplat.core import digests
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.export import names
from boxplat.export.check.pods import created
from boxplat.export.model import LOCK, Document


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """What tells one object of a cluster from another."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Bundle:
    """The documents of an overlay. `digest` is that of the file they come from."""

    folder: Path
    overlay: str
    namespace: str
    project: str
    digest: str
    documents: tuple[Document, ...]
    lock: Mapping[str, Any]

    @property
    def refs(self) -> tuple[Ref, ...]:
        return tuple(ref(document) for document in self.documents)

    @property
    def kinds(self) -> set[tuple[str, str]]:
        return {(document["apiVersion"], document["kind"]) for document in self.documents}

    def without(self, refs: Collection[Ref]) -> Bundle:
        """The same without some objects."""
        return replace(self, documents=tuple(document for document in self.documents if ref(document) not in refs))


def ref(document: Mapping[str, Any]) -> Ref:
    """The name of a document."""
    metadata = document["metadata"]
    return Ref(document["apiVersion"], document["kind"], metadata["name"], metadata.get("namespace", ""))


def component(document: Mapping[str, Any]) -> str:
    """The part of the project that a document belongs to."""
    label: str = document["metadata"].get("labels", {}).get(names.COMPONENT, "")
    return label


def pod_template(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The template of the pods that Kubernetes itself makes for a document, or None."""
    spec = document.get("spec", {})
    if document["kind"] == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    elif document["kind"] not in ("Deployment", "StatefulSet", "DaemonSet", "Job"):
        return None
    template: Mapping[str, Any] = spec["template"]
    return template


def pod_specs(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Everything in a document that becomes a pod and lists containers, also in workflows and their JobSets."""
    template = pod_template(document)
    if template is not None:
        yield template["spec"]
    elif document["kind"] == "WorkflowTemplate":
        shared = document["spec"]
        for entry in shared["templates"]:
            if "container" in entry:
                yield {**entry, "containers": [entry["container"]], "nodeSelector": entry.get("nodeSelector", {})}
            for job in created(entry).get("spec", {}).get("replicatedJobs", ()):
                yield job["template"]["spec"]["template"]["spec"]


def read(folder: Path, overlay: str = "") -> Bundle:
    """Read what `box export kubernetes` wrote.

    Args:
        overlay: which one (empty: the only one there is).

    Raises:
        BoxError: no export there, no such overlay (exit code 9), or files changed since they were written (10).
    """
    try:
        lock = json.loads((folder / LOCK).read_bytes())
        files: Mapping[str, str] = lock["files"]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BoxError(
            f"{folder} holds no export",
            why=str(error),
            fix=f"box export kubernetes -o {folder}",
            code=ExitCode.PRECONDITION,
        ) from error
    rendered = {Path(path).stem: path for path in files if path.startswith("rendered/")}
    if not overlay and len(rendered) == 1:
        overlay = next(iter(rendered))
    if overlay not in rendered:
        raise not_found("overlay", overlay, rendered, fix="box lift --overlay NAME")
    _unchanged(folder, files)
    path = rendered[overlay]
    found = yaml.safe_load_all((folder / path).read_bytes())
    return Bundle(
        folder=folder,
        overlay=overlay,
        namespace=lock["namespace"],
        project=lock["project"],
        digest=files[path],
        documents=tuple(document for document in found if document),
        lock=lock,
    )


def _unchanged(folder: Path, files: Mapping[str, str]) -> None:
    changed = []
    for path, digest in files.items():
        try:
            same = digests.of_file(folder / path) == digest
        except OSError:
            same = False
        if not same:
            changed.append(path)
    if changed:
        raise BoxError(
            f"{folder} is not as it was exported",
            why="changed or missing since: " + ", ".join(changed[:6]) + (", …" if len(changed) > 6 else ""),
            fix=f"change the project instead, then: box export kubernetes -o {folder}",
            code=ExitCode.CHECK_FAILED,
        )
