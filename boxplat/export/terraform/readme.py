"""`README.md` of the modules: what to run, what the sizes come from, what nobody has checked."""

from __future__ import annotations

from boxplat.core.model import File
from boxplat.export.model import ExportInput
from boxplat.export.terraform.needs import GIB, Needs
from boxplat.export.terraform.variables import too_large

_README = """\
# {project}: a cluster by Terraform

Written by `box export terraform`. Terraform puts files of its own beside these, its state above all: copy this folder
to where they shall live. An export never touches a folder that has other files.

| folder | makes |
|---|---|
| `own/` | in a cluster that you have: the namespace and its Secrets |
| `eks/` | on AWS: cluster, CPU and GPU pools, bucket, PostgreSQL, Redis, registry, shared files, namespace, Secrets |
| `gke/` | on Google Cloud: the same |
| `modules/` | what these are made of |

```sh
cd eks
terraform init
terraform plan -var region=REGION -var vpc_id=ID -var 'subnet_ids=["ID","ID"]' -out plan
terraform apply plan
```

`terraform.tfvars.json` has the values that this project knows; Terraform asks for the others. Passwords are made by
Terraform or given by you. **They are in Terraform's state**: keep it in an encrypted back end that few can read.

Afterwards the outputs go into `boxplat.toml`, and `box lift` does the rest:

```toml
[export]
storage = "…"          # output storage
registry = "…"         # output registry
data_class = "shared"  # eks and gke: the storage class made here
```

What a cluster needs besides: Argo Workflows; on EKS the NVIDIA device plugin and the cluster autoscaler (service
account `kube-system/cluster-autoscaler`, which has its rights already). Without the autoscaler the GPU pool stays
empty.

## Sizes

Requests in the manifests are measured peaks and a margin of {margin:.0%}; where nothing was measured they are what is
declared.

| what | how much | of |
|---|---|---|
| largest pod without a GPU | {cpu} | {cpu_of} |
| largest pod with a GPU | {gpu} | {gpu_of} |
| memory of that GPU | {gpu_memory} | |
| runs always | {standing} | deployments of the base |
| tracking database here | {database} | |
| online features here | {online} | |

{large}## What was checked, and what not

`terraform fmt` and rules of our own hold for these files: every variable has a type and a description, providers are
pinned, the GPU pool has a taint, no secret has a default. **The providers' schemas are not checked**: they come from
the internet, which an export does not use. `terraform init && terraform validate` checks them, `terraform plan` shows
what would be made, and the rest only your account can tell.
"""


def readme(inputs: ExportInput, needs: Needs) -> File:
    """`README.md`."""
    large = "".join(
        f"- {title} fits on no machine known here: choose one for its pool.\n" for title in too_large(needs)
    )
    text = _README.format(
        project=inputs.policy.project,
        margin=inputs.policy.margin,
        cpu=_room(needs.cpu.cores, needs.cpu.memory),
        cpu_of=needs.largest.get("cpu", "-"),
        gpu=_room(needs.gpu.cores, needs.gpu.memory) if "gpu" in needs.largest else "-",
        gpu_of=needs.largest.get("gpu", "-"),
        gpu_memory=_gib(needs.gpu_memory) if needs.gpu_memory else "-",
        standing=_room(needs.standing.cores, needs.standing.memory),
        database=_gib(needs.stored.database),
        online=_gib(needs.stored.online),
        large=f"{large}\n" if large else "",
    )
    return File("README.md", text)


def _room(cores: float, memory: float) -> str:
    return f"{cores:g} cores, {_gib(memory)}"


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 1024**2:.0f} MiB"
