"""What a person must know before applying an export: Secrets, images, and what is not in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from boxplat.core.model import File
from boxplat.export.model import Document, ExportInput
from boxplat.export.references import secret_names

# Referenced by name only; an export never holds a value.
SECRETS: Mapping[str, Sequence[str]] = {
    "storage": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "database": ("tracking-url", "registry-url"),
    "online-store": ("connection",),
}

_README = """\
# {project} on Kubernetes

Written by `box export kubernetes`. Do not edit: the next export replaces it.

The cluster needs Argo Workflows 3.6 or newer, a default StorageClass with ReadWriteMany volumes, a metrics server for
the autoscalers, PostgreSQL, Redis and S3-compatible storage.

1. Create the namespace `{namespace}` and these Secrets in it:

| Secret | Keys |
|---|---|
{secrets}

2. Push these images (the project in `/app`, a user other than root, `python`, `bash`, `tar`, `md5sum` and `sleep`):

| Component | Image |
|---|---|
{images}

3. Copy `code/` to `{storage}/metaflow/`.
4. `kubectl apply --server-side -k overlays/{overlay}`

Workflow templates:

{flows}

Not carried over:

{gaps}
"""


def not_carried(inputs: ExportInput, templates: Sequence[Document]) -> list[dict[str, str]]:
    """What the project declares and these manifests do not have."""
    noted = [template["metadata"]["annotations"] for template in templates]
    triggers = [
        (annotations["metaflow/flow_name"], f"trigger on {trigger['name']}")
        for annotations in noted
        for trigger in json.loads(annotations.get("metaflow/triggers", "[]"))
    ]
    no_sensor = "the Argo Events Sensor is not exported yet: submit the workflow by hand"
    return [
        *({"of": flow, "what": what, "why": no_sensor} for flow, what in triggers),
        *({"of": name, "what": "endpoint", "why": f"no release yet: box deploy {name}"} for name in inputs.undeployed),
    ]


def secrets(inputs: ExportInput) -> dict[str, Sequence[str]]:
    """Every Secret that the manifests refer to, with its keys."""
    own = {service.name: secret_names(service) for service in inputs.services}
    return {**SECRETS, **{name: keys for name, keys in own.items() if keys}}


def readme(inputs: ExportInput, templates: Sequence[Document]) -> File:
    """`README.md` of the export."""
    policy = inputs.policy
    rows = [f"| `{name}` | {', '.join(f'`{key}`' for key in keys)} |" for name, keys in secrets(inputs).items()]
    images = "\n".join(f"| {component} | `{image}` |" for component, image in sorted(policy.images.items()))
    flows = "\n".join(f"- `{template['metadata']['name']}`" for template in templates) or "- none"
    gaps = (
        "\n".join(f"- {gap['of']}: {gap['what']}: {gap['why']}" for gap in not_carried(inputs, templates))
        or "- nothing"
    )
    text = _README.format(
        project=policy.project,
        namespace=policy.namespace,
        storage=policy.storage,
        overlay=inputs.overlay,
        secrets="\n".join(rows),
        images=images,
        flows=flows,
        gaps=gaps,
    )
    return File("README.md", text)
