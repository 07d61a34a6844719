"""Every field against the published schemas: Kubernetes' of several versions, and Argo's models as Hera has them."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.export.check import shapes
from boxplat.export.check.model import Fault, Manifest
from boxplat.export.check.pods import created, workflow
from boxplat.export.pointers import Pointer, entries, mapping, written

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
ABOUT = {
    "schema": f"Kubernetes {VERSIONS[0]} to {VERSIONS[-1]} knows every field, and takes its value",
    "kind-unknown": "A document is of a kind that Kubernetes, Argo or another known resource definition has",
    "argo-model": "Argo's models, as Hera has them, take every value of Argo's kinds",
    "argo-field-dropped": "Argo's models keep every field that is given to them",
    **shapes.ABOUT,
}
_NEEDED = {"kubernetes_validate": "kubernetes-validate", "hera": "hera"}
_MODELS = {
    "WorkflowTemplate": "hera.workflows.models",
    "ClusterWorkflowTemplate": "hera.workflows.models",
    "CronWorkflow": "hera.workflows.models",
    "Workflow": "hera.workflows.models",
}


def must_be_there() -> None:
    """Refuse to go on without the schemas.

    Raises:
        BoxError: a package of the extra `export` is missing (exit code 4).
    """
    missing = [package for module, package in _NEEDED.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise BoxError(
            "the schemas to check an export against are not installed",
            why=f"missing: {', '.join(missing)}",
            fix="pip install 'boxplat[export]'   (or leave them out: box export --check DIR --without-schemas)",
            code=ExitCode.PRECONDITION,
        )


def faults(manifests: Iterable[Manifest]) -> Iterator[Fault]:
    """What no API server of these versions would take."""
    for manifest in manifests:
        if manifest.kind in _MODELS and manifest.group == "argoproj.io":
            yield from _argo(manifest)
            yield from _created(manifest)
        elif (manifest.group, manifest.kind) in shapes.KINDS:
            yield from shapes.faults(manifest)
        else:
            yield from _kubernetes(manifest)


def _created(manifest: Manifest) -> Iterator[Fault]:
    """JobSets that a workflow makes: their own fields, and those of the Jobs in them."""
    path, spec = workflow(manifest)
    for place, template in entries(spec, "templates"):
        made = Manifest(dict(created(template)))
        where = written((*path, *place, "resource", "manifest"))
        if made.kind != "JobSet":
            continue
        faults = [*shapes.faults(made)]
        for inner, job in entries(made.document, "spec", "replicatedJobs"):
            spot = written((*inner, "template", "spec"))
            found = _against("jobspec-batch-v1", mapping(job, "template", "spec"), made.title)
            faults += [replace(fault, where=f"{spot}{fault.where}") for fault in found]
        yield from (replace(fault, of=manifest.title, where=f"{where}{fault.where}") for fault in faults)


def _kubernetes(manifest: Manifest) -> Iterator[Fault]:
    group, _, number = str(manifest.document["apiVersion"]).rpartition("/")
    file = "-".join(part for part in (manifest.kind.lower(), group.partition(".")[0], number) if part)
    yield from _against(file, manifest.document, manifest.title)


def _against(file: str, document: Mapping[str, Any], title: str) -> Iterator[Fault]:
    """Hold a document against the schema of this name, of every version."""
    said: dict[tuple[str, str], list[str]] = {}
    for version in VERSIONS:
        validator = _validator(version, file)
        if validator is None:
            said.setdefault(("", "kind-unknown"), []).append(version)
            continue
        for error in validator.iter_errors(document):
            said.setdefault((written(tuple(error.absolute_path)), error.message[:200]), []).append(version)
    for (where, what), versions in said.items():
        if what == "kind-unknown":
            about = f"{document.get('apiVersion')} is none of Kubernetes {_several(versions)}"
            yield Fault("kind-unknown", title, where, about)
        else:
            yield Fault("schema", title, where, f"{what} ({_several(versions)})")


def _several(versions: list[str]) -> str:
    return versions[0] if len(versions) == 1 else f"{versions[0]} to {versions[-1]}"


@cache
def _validator(version: str, file: str) -> Any:
    """The validator of a kind, whose name here is `deployment-apps-v1`; None where the version does not know it."""
    import jsonschema
    from kubernetes_validate import utils

    try:
        schema = utils.schema_contents(f"{_schemas(version)}/{file}.json", version)
    except FileNotFoundError:
        return None
    return jsonschema.Draft202012Validator(schema, registry=_registry(version))


@cache
def _registry(version: str) -> Any:
    import referencing
    from kubernetes_validate import utils

    contents = utils.schema_contents(f"{_schemas(version)}/_definitions.json", version)
    return referencing.Resource.from_contents(contents) @ referencing.Registry()


def _schemas(version: str) -> str:
    return f"kubernetes-json-schema/v{version}.0-local-strict"


def _argo(manifest: Manifest) -> Iterator[Fault]:
    from pydantic import ValidationError

    model = getattr(importlib.import_module(_MODELS[manifest.kind]), manifest.kind)
    try:
        taken = model.model_validate(manifest.document)
    except ValidationError as error:
        for one in error.errors(include_url=False):
            yield Fault("argo-model", manifest.title, written(tuple(one["loc"])), str(one["msg"])[:200])
        return
    back = json.loads(taken.model_dump_json(by_alias=True, exclude_none=True))
    for where in dropped(manifest.document, back):
        yield Fault("argo-field-dropped", manifest.title, written(where), "Argo's models do not know it")


def dropped(given: Any, back: Any, path: Pointer = ()) -> Iterator[Pointer]:
    """Where a model has lost what it was given."""
    if isinstance(given, Mapping):
        for key, value in given.items():
            if not isinstance(back, Mapping) or key not in back:
                if value is not None:
                    yield (*path, key)
            else:
                yield from dropped(value, back[key], (*path, key))
    elif isinstance(given, list):
        if not isinstance(back, list) or len(back) != len(given):
            yield path
            return
        for index, (old, new) in enumerate(zip(given, back, strict=True)):
            yield from dropped(old, new, (*path, index))
