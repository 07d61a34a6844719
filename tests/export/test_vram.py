"""`@vram` on a cluster: it is there, and it changes nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from boxplat.export.flows.compile import compile_flows
from boxplat.export.model import FLOWS, Policy

FLOW = """
from metaflow import FlowSpec, resources, step
{imported}

class Gpu(FlowSpec):
    {decorator}
    @resources(cpu=2, memory=4000, gpu=1)
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        print("it ended")

if __name__ == "__main__":
    Gpu()
"""


def asked(template: dict[str, Any]) -> list[Any]:
    return [one["container"]["resources"] for one in template["spec"]["templates"] if "container" in one]


@pytest.mark.integration
def test_a_flow_with_vram_compiles_to_the_same_and_runs_where_only_its_package_is(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    flows.mkdir()
    (flows / "with.py").write_text(FLOW.format(imported="from metaflow import vram", decorator='@vram("6G")'))
    (flows / "without.py").write_text(FLOW.format(imported="", decorator=""))
    (with_it, without), _ = compile_flows(
        [flows / "with.py", flows / "without.py"], tmp_path, Policy("p", "p", {FLOWS: "image:1"}, "s3://store")
    )
    assert asked(with_it.template) == asked(without.template)
    assert any(one.get("limits", {}).get("nvidia.com/gpu") for one in asked(with_it.template))
    (package,) = with_it.packages.values()
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        archive.extractall(tmp_path / "pod", filter="data")
    env = {name: value for name, value in os.environ.items() if not name.startswith(("BOXPLAT", "METAFLOW"))}
    env |= {"PYTHONPATH": str(tmp_path / "pod" / ".mf_code"), "USERNAME": "pod", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(flows / "with.py"), "--no-pylint", "run"],
        env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "it ended" in done.stdout
