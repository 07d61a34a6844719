"""An export rendered: declarations in, files out. Pure, so that the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.graph import needs
from boxplat.core.model import File, Service
from boxplat.export import document, endpoints, features, guardrails, names, network, schedules, tracking
from boxplat.export.harden import harden, makes_jobsets
from boxplat.export.model import FEATURES, FLOWS, LOCK, TRACKING, Document, Export, ExportInput
from boxplat.export.references import FEATURES_PORT, Cluster, port
from boxplat.export.runbook import not_carried, readme, secrets

Groups = Mapping[str, Sequence[Document]]


def render(inputs: ExportInput) -> Export:
    """Every file of the export, the lock among them.

    Raises:
        BoxError: a name that Kubernetes cannot bear, an unknown reference, or a schedule that Argo cannot run.
    """
    overlay = names.checked(inputs.overlay, "overlay")
    services = _checked(inputs.services)
    cluster = Cluster(inputs.policy.namespace, services, inputs.root)
    templates = _flows(inputs, cluster)
    groups = _groups(inputs, services, cluster, templates)
    files = [*_manifests(groups), _overlay(overlay), readme(inputs, templates)]
    packages = {f"code/{path}": blob for flow in inputs.flows for path, blob in flow.packages.items()}
    lock = _lock(inputs, templates, files, packages)
    return Export(files=tuple(sorted([*files, lock], key=lambda file: file.path)), packages=packages)


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
        plain = {"BOXPLAT_FEATURE_REPO": repo, **features.STORE_ENV}
        if features.has_local_server(inputs.feature_store):
            plain["BOXPLAT_FEATURES_URL"] = cluster.text(f"${{{FEATURES}.url}}")
        env += [{"name": key, "value": value} for key, value in plain.items()]
        for key, (secret, entry) in features.SECRETS.items():
            env.append({"name": key, "valueFrom": {"secretKeyRef": {"name": secret, "key": entry}}})
    return [harden(flow.template, inputs.policy, env) for flow in inputs.flows]


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
            groups[service.name] = endpoints.documents(service, cluster, policy, store is not None)
    if store is not None:
        groups[FEATURES] = features.documents(store, inputs.feature_repo, policy)
    crons = [schedules.cron_workflow(template, inputs.schedules) for template in templates]
    groups[FLOWS] = [*templates, *(cron for cron in crons if cron is not None)]
    jobsets = any(makes_jobsets(template) for template in templates)
    return {
        "guardrails": [
            *guardrails.namespace(policy),
            *guardrails.quota(policy),
            *guardrails.volume(policy),
            *guardrails.rights(sorted(groups), policy, jobsets),
        ],
        "network": _network(inputs, services, jobsets),
        **dict(sorted(groups.items())),
    }


def _network(inputs: ExportInput, services: Sequence[Service], jobsets: bool) -> list[Document]:
    policy, ports = inputs.policy, {service.name: port(service) for service in services}
    edges = [(service.name, other, ports[other]) for service in services for other in needs(service) if other in ports]
    storage = network.storage_port(policy)
    stores = [storage, network.POSTGRES, network.REDIS]
    # Argo reports a step's result to the Kubernetes API from the step's own pod.
    outside = {FLOWS: sorted({*stores, network.HTTPS, network.KUBERNETES})}
    if TRACKING in ports:
        edges.append((FLOWS, TRACKING, ports[TRACKING]))
        outside[TRACKING] = sorted([storage, network.POSTGRES])
    if jobsets:
        edges.append((FLOWS, FLOWS, network.ANY))
    entries = {service.name: ports[service.name] for service in services if service.kind == "endpoint"}
    if inputs.feature_store is not None:
        outside |= {FEATURES: sorted(stores), **{name: [network.POSTGRES, network.REDIS] for name in entries}}
        edges += [(name, FEATURES, FEATURES_PORT) for name in (FLOWS, *entries)]
    return network.policies(edges, outside, entries, policy)


def _manifests(groups: Groups) -> list[File]:
    """One file a document, one Kustomization a folder, one for them all."""
    files = []
    for folder, documents in groups.items():
        paths = []
        for entry in documents:
            paths.append(f"{entry['kind'].lower()}-{entry['metadata']['name']}.yaml")
            files.append(File(f"base/{folder}/{paths[-1]}", document.dump(entry)))
        files.append(_kustomization(f"base/{folder}", paths))
    return [*files, _kustomization("base", list(groups))]


def _overlay(name: str) -> File:
    labels = {"labels": [{"pairs": {"boxplat/overlay": name}}]}
    return _kustomization(f"overlays/{name}", ["../../base"], labels)


def _kustomization(folder: str, resources: Sequence[str], more: Document | None = None) -> File:
    content = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": list(resources)}
    return File(f"{folder}/kustomization.yaml", document.dump(content | (more or {})))


def _lock(
    inputs: ExportInput, templates: Sequence[Document], files: Sequence[File], packages: Mapping[str, bytes]
) -> File:
    contents = {**{file.path: file.text.encode() for file in files}, **packages}
    content = {
        "schema_version": 1,
        "made_by": "boxplat",
        "project": inputs.policy.project,
        "namespace": inputs.policy.namespace,
        "overlay": inputs.overlay,
        "inputs": {
            "versions": dict(sorted(inputs.versions.items())),
            "images": dict(sorted(inputs.policy.images.items())),
            "storage": inputs.policy.storage,
            "flows": {
                flow.file: {"flow": flow.name, "template": template["metadata"]["name"]}
                for flow, template in zip(inputs.flows, templates, strict=True)
            },
        },
        "secrets": secrets(inputs),
        "not_carried": not_carried(inputs, templates),
        "files": {path: hashlib.sha256(contents[path]).hexdigest() for path in sorted(contents)},
    }
    return File(LOCK, json.dumps(content, indent=2) + "\n")
