"""Terraform modules: well-formed, closed, fit for each other, and sized by what the manifests ask for."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError
from boxplat.export import Export, ExportInput, Peak, write
from boxplat.export.terraform import Stored, terraform
from boxplat.export.terraform.machines import AWS, AWS_GPU, GOOGLE, GOOGLE_GPU, Machine, smallest
from boxplat.export.terraform.needs import GIB, Room
from tests.export.terraform import rules

pytestmark = pytest.mark.integration
# What no project knows: accounts, networks, and secrets.
ASKED = {
    "own": {
        "context", "tracking_database_url", "registry_database_url", "online_store",
        "storage_access_key", "storage_secret_key",
    },
    "eks": {"region", "vpc_id", "subnet_ids"},
    "gke": {"google_project", "region", "location", "network", "subnetwork"},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(gathered: ExportInput) -> Export:
    return terraform(gathered, Stored(database=7 * GIB, online=2 * GIB))


@pytest.fixture(scope="module")
def files(made: Export) -> dict[str, str]:
    return {file.path: file.text for file in made.files}


def test_no_rule_is_broken(files: dict[str, str]) -> None:
    assert rules.faults(files) == []


FAULTS: dict[str, tuple[str, str, str]] = {
    "variable-untyped": ("modules/eks/variables.tf", "  type        = number\n", ""),
    "variable-undescribed": ("gke/variables.tf", '  description = "Redis\'s memory."\n', ""),
    "secret-with-default": ("own/variables.tf", "  sensitive   = true\n", '  sensitive   = true\n  default = "x"\n'),
    "secret-shown": ("modules/aws-stores/outputs.tf", "  sensitive   = true\n", ""),
    "provider-unpinned": ("modules/gke/versions.tf", "~> 6.20", ">= 6.20"),
    "provider-undeclared": ("modules/cluster/versions.tf", "random = {", "randomly = {"),
    "gpu-pool-untainted": ("modules/eks/main.tf", "nvidia.com/gpu", "nvidia.com/cpu"),
    "gpu-pool-not-empty": ("modules/gke/main.tf", "total_min_node_count = 0", "total_min_node_count = 1"),
    "gpu-pool-without-spot": ("modules/gke/main.tf", "    spot            = var.gpu_spot\n", ""),
    "open-to-the-world": ("eks/variables.tf", "  default     = []", '  default     = ["0.0.0.0/0"]'),
    "variable-unused": ("modules/gke/main.tf", "var.cpu_min", "1"),
    "reference-undeclared": ("modules/eks/main.tf", "aws_iam_role.cluster.arn", "aws_iam_role.clster.arn"),
    "argument-unknown": ("eks/main.tf", "  gpu_spot            = var.gpu_spot", "  gpu_spt = var.gpu_spot"),
    "argument-missing": ("own/main.tf", "  online_store          = var.online_store\n", ""),
    "module-missing": ("gke/main.tf", "../modules/gke", "../modules/gk"),
    "output-undescribed": ("gke/outputs.tf", '  description = "How to reach the cluster."\n', ""),
}


@pytest.mark.parametrize("rule", FAULTS)
def test_each_rule_fires(files: dict[str, str], rule: str) -> None:
    path, old, new = FAULTS[rule]
    assert old in files[path]
    folders = {path.rpartition("/")[0], *(name for name in ("modules/eks", "modules/gke", "modules/cluster"))}
    broken = {name: text for name, text in files.items() if name.rpartition("/")[0] in folders}
    broken |= {name: text for name, text in files.items() if name.startswith("modules/aws") and path.startswith("eks")}
    broken[path] = broken[path].replace(old, new, 1)
    assert any(fault.startswith(f"{rule}: ") for fault in rules.faults(broken))


@pytest.mark.skipif(which("terraform") is None, reason="Terraform is optional")
def test_terraform_would_format_nothing(made: Export, tmp_path: Path) -> None:
    write(made, tmp_path / "tf")
    command = ["terraform", f"-chdir={tmp_path / 'tf'}", "fmt", "-check", "-diff", "-recursive"]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (child.returncode, child.stdout) == (0, "")


def test_every_variable_has_a_value_or_is_asked_for(files: dict[str, str]) -> None:
    for place, module in rules.read(files).items():
        if place in ASKED:
            known = set(json.loads(files[f"{place}/terraform.tfvars.json"]))
            wanted = {name for name, body in module.variables.items() if "default" not in body}
            assert known | ASKED[place] == wanted and not known & ASKED[place]


def test_sizes_follow_what_the_project_takes(gathered: ExportInput, files: dict[str, str]) -> None:
    eks, gke = (json.loads(files[f"{place}/terraform.tfvars.json"]) for place in ("eks", "gke"))
    assert eks["components"] == sorted(gathered.policy.images) and eks["bucket"] == "boxplat-wild-box"
    assert eks["gpu_instance_types"] and eks["gpu_max"] == 4 and gke["gpu_type"] == "nvidia-l4"
    assert (eks["database_gib"], gke["redis_gib"]) == (28, 8)
    large = terraform(replace(gathered, measured={"WideFlow": {"work": Peak(memory_mib=90_000, runs=3)}}), Stored())
    grown = {file.path: file.text for file in large.files}
    assert json.loads(grown["eks/terraform.tfvars.json"])["cpu_instance_types"] == ["m7i.8xlarge"]
    assert "WorkflowTemplate/wideflow work" in grown["README.md"]


@settings(deadline=None)
@given(
    cores=st.floats(0, 90), memory=st.floats(0, 340), gpu_memory=st.floats(0, 80),
    table=st.sampled_from([AWS, GOOGLE, AWS_GPU, GOOGLE_GPU]),
)  # fmt: skip
def test_a_pod_fits_on_its_machine_and_on_none_before(
    cores: float, memory: float, gpu_memory: float, table: tuple[Machine, ...]
) -> None:
    room = Room(cores, memory * GIB)
    machine, fits = smallest(table, room, gpu_memory * GIB if table in (AWS_GPU, GOOGLE_GPU) else 0.0)
    wanted = gpu_memory * GIB if table in (AWS_GPU, GOOGLE_GPU) else 0.0
    before = table[: table.index(machine)]
    assert not any(one.holds(room, wanted) for one in before)
    assert fits == (machine.cores > cores and machine.holds(room, wanted))


def test_a_folder_with_terraforms_state_is_left_alone(made: Export, tmp_path: Path) -> None:
    write(made, tmp_path)
    (tmp_path / "eks" / "terraform.tfstate").write_text("{}")
    with pytest.raises(BoxError, match="left as it is"):
        write(made, tmp_path)
    assert (tmp_path / "eks" / "terraform.tfstate").exists()
