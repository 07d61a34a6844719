"""What a person must know before applying an export: Secrets, images, and what is not in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxplat.core.model import File
from boxplat.export.model import FLOWS, Document, ExportInput
from boxplat.export.references import secret_names
from boxplat.export.serving.instances import beside

# Referenced by name only; an export never holds a value.
SECRETS: Mapping[str, Sequence[str]] = {
    "storage": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "database": ("tracking-url", "registry-url"),
    "online-store": ("connection",),
    "tracking-auth": ("admin-username", "admin-password", "secret-key"),
    "tracking-user": ("username", "password"),
}

_README = """\
# {project} on Kubernetes

Written by `box export kubernetes`. Do not edit: the next export replaces it.

The cluster needs Argo Workflows 3.6 or newer, a StorageClass with ReadWriteMany volumes (the default one, or
`[export] data_class`), a metrics server for the autoscalers, a network that enforces policies, PostgreSQL, Redis and
S3-compatible storage. `overlays/` has the environments, `rendered/` each of them in one file, `components/` what they
may opt in to.

1. Create the namespace `{namespace}` and these Secrets in it:

| Secret | Keys |
|---|---|
{secrets}

2. Have these images in the registry. `box export images --push` in the project makes them; those of another builder
   (from `images/`) are told by `box export images --record FILE`:

| Component | Image |
|---|---|
{images}

3. Copy `code/` to `{storage}/metaflow/`.
4. `kubectl apply --server-side -k overlays/{overlay}`

After step 1 `box lift --overlay {overlay}` in the project does the rest, and says before what it will do.

Workflow templates:

{flows}

Without a release, and so not in it:

{gaps}

`PARITY.md` has every schedule, limit, variable, secret and weight of the project, with the manifest that carries it or
why none does.
"""


def not_carried(inputs: ExportInput) -> list[dict[str, str]]:
    """What the project declares and these manifests do not have."""
    return [{"of": name, "what": "endpoint", "why": f"no release yet: box deploy {name}"} for name in inputs.undeployed]


def secrets(inputs: ExportInput) -> dict[str, Sequence[str]]:
    """Every Secret that the manifests refer to, with its keys."""
    declared = [(service.name, service) for service in inputs.services] + beside(inputs)
    own: dict[str, list[str]] = {}
    for name, service in declared:
        own[name] = sorted({*own.get(name, []), *secret_names(service)})
    steps = [decorators for flow in inputs.flows for decorators in flow.declared.steps.values()]
    set_by_steps = {key for decorators in steps for deco in decorators for key in deco.attributes.get("vars") or ()}
    own[FLOWS] = sorted(set_by_steps & set(inputs.policy.secrets))
    return {**SECRETS, **{name: keys for name, keys in own.items() if keys}}


def readme(inputs: ExportInput, templates: Sequence[Document]) -> File:
    """`README.md` of the export."""
    policy = inputs.policy
    rows = [f"| `{name}` | {', '.join(f'`{key}`' for key in keys)} |" for name, keys in secrets(inputs).items()]
    images = "\n".join(f"| {component} | `{image}` |" for component, image in sorted(policy.images.items()))
    flows = "\n".join(f"- `{template['metadata']['name']}`" for template in templates) or "- none"
    gaps = "\n".join(f"- {gap['of']}: {gap['what']}: {gap['why']}" for gap in not_carried(inputs)) or "- nothing"
    text = _README.format(
        project=policy.project,
        namespace=policy.namespace,
        storage=policy.storage,
        overlay=next(iter(inputs.overlays)),
        secrets="\n".join(rows),
        images=images,
        flows=flows,
        gaps=gaps,
    )
    return File("README.md", text)
