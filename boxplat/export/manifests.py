"""An export rendered: declarations in, files out. Pure, so that the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.graph import needs
from boxplat.core.model import File, Service
from boxplat.export import document, images, kustomize, names
from boxplat.export.flows import workflows
from boxplat.export.flows.harden import makes_jobsets
from boxplat.export.kustomize import Layer
from boxplat.export.model import FEATURES, FLOWS, LOCK, TRACKING, Document, Export, ExportInput
from boxplat.export.overlays import checked, opted, varied
from boxplat.export.parity import parity_files
from boxplat.export.platform import features, guardrails, network, tracking
from boxplat.export.references import FEATURES_PORT, Cluster, port
from boxplat.export.runbook import not_carried, readme, secrets
from boxplat.export.serving import endpoints, instances, monitoring, routes

Groups = Mapping[str, Sequence[Document]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The documents of a project under one policy: those of the base by folder, and what one can opt in to."""

    templates: Sequence[Document]
    groups: Groups
    components: Mapping[str, Layer]

    @property
    def documents(self) -> list[Document]:
        """Of the base, in Kustomize's order."""
        return [entry for entries in self.groups.values() for entry in entries]


def render(inputs: ExportInput) -> Export:
    """Every file of the export, the lock among them.

    Raises:
        BoxError: a name that Kubernetes cannot bear, an unknown reference, or a schedule that Argo cannot run.
    """
    for overlay in inputs.overlays:
        names.checked(overlay, "overlay")
    parts = _parts(inputs)
    checked(inputs, parts.components)
    files = [*_base(parts.groups), *_components_files(parts.components)]
    for overlay in inputs.overlays:
        files += _overlay(inputs, parts, overlay)
    files += [readme(inputs, parts.templates), *parity_files(inputs, parts.groups, parts.components, files)]
    files += [
        replace(file, path=f"images/{one.component}/{file.path}") for one in inputs.images for file in images.files(one)
    ]
    packages = {f"code/{path}": blob for flow in inputs.flows for path, blob in flow.packages.items()}
    lock = _lock(inputs, parts.templates, files, packages)
    return Export(files=tuple(sorted([*files, lock], key=lambda file: file.path)), packages=packages)


def documents(inputs: ExportInput) -> list[Document]:
    """The documents of the base alone.

    Raises:
        BoxError: as `render`.
    """
    return _parts(inputs).documents


def _parts(inputs: ExportInput) -> Parts:
    services = _checked(inputs.services)
    everything = _checked([*services, *(service for _, service in instances.beside(inputs))])
    cluster = Cluster(inputs.policy.namespace, everything, inputs.root)
    templates = _flows(inputs, cluster)
    groups = _groups(inputs, services, cluster, templates)
    return Parts(templates, groups, _components(inputs, groups))


def _components(inputs: ExportInput, groups: Groups) -> dict[str, Layer]:
    """What an overlay may opt in to, by name; changes are such that they fit together in any choice."""
    return {
        "gateway": Layer(routes.documents(inputs)),
        "monitoring": Layer(monitoring.documents(inputs)),
        **workflows.components(inputs, groups[FLOWS]),
        **_of_features(inputs),
    }


def _of_features(inputs: ExportInput) -> dict[str, Layer]:
    store = inputs.feature_store
    return {} if store is None else features.components(store, inputs.feature_repo, inputs.policy)


def _checked(services: Sequence[Service]) -> list[Service]:
    taken = {FLOWS, FEATURES, "data"}
    for service in services:
        names.checked(service.name, service.kind)
        if service.name in taken:
            raise BoxError(
                f"{service.kind} {service.name!r} cannot be exported under this name",
                why="a component of every export, or another service, has it",
                fix="rename it in boxplat.toml",
                code=ExitCode.USAGE,
            )
        taken.add(service.name)
    return sorted(services, key=lambda service: service.name)


def _flows(inputs: ExportInput, cluster: Cluster) -> list[Document]:
    env: list[Document] = [{"name": key, "value": value} for key, value in cluster.flow_env().items()]
    if inputs.feature_store is not None:
        repo = f"{names.ROOT}/{inputs.feature_repo}"
        plain = {"BOXPLAT_FEATURE_REPO": repo, **features.STORE_ENV, **features.storage_env(inputs.policy)}
        if features.has_local_server(inputs.feature_store):
            plain["BOXPLAT_FEATURES_URL"] = cluster.text(f"${{{FEATURES}.url}}")
        env += [{"name": key, "value": value} for key, value in plain.items()]
    referenced = {**tracking.CLIENT_SECRETS, **(features.SECRETS if inputs.feature_store is not None else {})}
    for key, (secret, entry) in referenced.items():
        env.append({"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}})
    return workflows.templates(inputs, env)


def _groups(
    inputs: ExportInput, services: Sequence[Service], cluster: Cluster, templates: Sequence[Document]
) -> dict[str, list[Document]]:
    """The documents of the base, by the folder that they go to."""
    policy, store = inputs.policy, inputs.feature_store
    groups: dict[str, list[Document]] = {}
    for service in services:
        if service.name == TRACKING:
            groups[TRACKING] = tracking.documents(service, cluster, policy)
        else:
            releases = inputs.releases.get(service.name, ())
            groups[service.name] = endpoints.documents(service, releases, cluster, policy, store is not None)
    if store is not None:
        groups[FEATURES] = features.documents(store, inputs.feature_repo, policy)
    groups[FLOWS] = workflows.documents(inputs, templates)
    jobsets = any(makes_jobsets(template) for template in templates)
    return {
        "guardrails": [
            *guardrails.namespace(policy),
            *guardrails.priorities(),
            *guardrails.quota(policy),
            *guardrails.volume(policy),
            *guardrails.rights(sorted(groups), policy, jobsets),
        ],
        "network": _network(inputs, services, jobsets),
        **dict(sorted(groups.items())),
    }


def _network(inputs: ExportInput, services: Sequence[Service], jobsets: bool) -> list[Document]:
    policy, ports = inputs.policy, {service.name: port(service) for service in services}
    callers = [(service.name, service) for service in services] + instances.beside(inputs)
    edges = [(name, other, ports[other]) for name, service in callers for other in needs(service) if other in ports]
    storage = network.storage_port(policy)
    stores = [storage, network.POSTGRES, network.REDIS]
    # Argo reports a step's result to the Kubernetes API from the step's own pod.
    flows = [FLOWS] if inputs.flows else []
    outside = {name: sorted({*stores, network.HTTPS, network.KUBERNETES}) for name in flows}
    if TRACKING in ports:
        edges += [(name, TRACKING, ports[TRACKING]) for name in flows]
        outside[TRACKING] = sorted([storage, network.POSTGRES])
    if jobsets:
        edges.append((FLOWS, FLOWS, network.ANY))
    entries = {service.name: ports[service.name] for service in services if service.kind == "endpoint"}
    if inputs.feature_store is not None:
        outside |= {FEATURES: sorted(stores), **{name: [network.POSTGRES, network.REDIS] for name in entries}}
        edges += [(name, FEATURES, FEATURES_PORT) for name in (*flows, *entries)]
    return network.policies(edges, outside, entries, policy)


def _base(groups: Groups) -> list[File]:
    """One file a document, one Kustomization a folder, one for them all."""
    files = []
    for folder, documents in groups.items():
        there = {kustomize.file_name(entry): document.dump(entry) for entry in documents}
        files += [File(f"base/{folder}/{name}", text) for name, text in there.items()]
        files.append(kustomize.kustomization(f"base/{folder}", list(there)))
    return [*files, kustomize.kustomization("base", list(groups))]


def _components_files(components: Mapping[str, Layer]) -> list[File]:
    return [
        file
        for name, layer in components.items()
        if layer.made
        for file in kustomize.files(f"components/{name}", layer, resources=(), components=None)
    ]


def _overlay(inputs: ExportInput, base: Parts, name: str) -> list[File]:
    """An overlay is the project under another policy: its patches are what differs from base and components."""
    other = varied(inputs, inputs.overlays[name])
    there = base if other == inputs else _parts(other)
    asked = opted(inputs.overlays[name])
    # A component that only this overlay fills (the route to its host of tracking) has no folder.
    chosen = [component for component in asked if base.components[component].made]
    layers = [base.components[component] for component in chosen]
    wanted = kustomize.build(there.documents, [there.components[component] for component in asked], Layer())
    own = kustomize.changes(kustomize.build(base.documents, layers, Layer()), wanted)
    layer = Layer(own.resources, own.patches, {"boxplat/overlay": name})
    rendered = "---\n".join(document.dump(entry) for entry in kustomize.build(base.documents, layers, layer))
    components = [f"../../components/{component}" for component in chosen]
    return [
        *kustomize.files(f"overlays/{name}", layer, ["../../base"], components),
        File(f"rendered/{name}.yaml", rendered),
    ]


def _lock(
    inputs: ExportInput, templates: Sequence[Document], files: Sequence[File], packages: Mapping[str, bytes]
) -> File:
    contents = {**{file.path: file.text.encode() for file in files}, **packages}
    content = {
        "schema_version": 1,
        "made_by": "boxplat",
        "project": inputs.policy.project,
        "namespace": inputs.policy.namespace,
        "overlays": sorted(inputs.overlays),
        "inputs": {
            "versions": dict(sorted(inputs.versions.items())),
            "images": dict(sorted(inputs.policy.images.items())),
            "storage": inputs.policy.storage,
            "margin": inputs.policy.margin,
            "measured": {
                flow: {step: asdict(peak) for step, peak in sorted(steps.items())}
                for flow, steps in sorted(inputs.measured.items())
            },
            "flows": {
                flow.file: {"flow": flow.name, "template": template["metadata"]["name"]}
                for flow, template in zip(inputs.flows, templates, strict=True)
            },
        },
        "secrets": secrets(inputs),
        "not_carried": not_carried(inputs),
        "files": {path: hashlib.sha256(contents[path]).hexdigest() for path in sorted(contents)},
    }
    return File(LOCK, json.dumps(content, indent=2) + "\n")
