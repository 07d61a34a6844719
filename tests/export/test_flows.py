"""Flows of every odd kind, compiled by Metaflow: what triggers them, what they include, what they are called."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from hera.workflows import models

from boxplat.core.export_config import GpuConfig
from boxplat.export import ExportInput, document
from boxplat.export.check import broken as broken_rules
from boxplat.export.check.model import Manifest, Manifests
from boxplat.export.flows.compile import compile_flows
from boxplat.export.flows.events import url
from boxplat.export.flows.workflows import components, documents, templates
from boxplat.export.model import Flow, Peak, Policy
from boxplat.export.platform import guardrails
from tests.export.test_manifests import _dropped as dropped

pytestmark = pytest.mark.integration
LONG = "A" * 20 + "VeryLongFlowName" * 3
TRAPS = f"""
from metaflow import FlowSpec, IncludeFile, JSONType, Parameter, environment, resources, step, vram

class {LONG}(FlowSpec):
    n = Parameter("n", default="n", help="on: {{{{not a template}}}} é")
    on = Parameter("on", default="on")
    float = Parameter("float", default="1e3")
    octal = Parameter("octal", default="0o17")
    null = Parameter("null", default="null")
    none = Parameter("none", default=None)
    text = Parameter("text", default="é 😀 $(HOME) `x` \\n\\"'")
    object = Parameter("object", type=JSONType, default='{{"é": [1, null, "on"]}}')
    a_very_long_name_of_a_parameter_{"x" * 60} = Parameter("p-{"x" * 80}", default="y" * 3000)
    words = IncludeFile("words", default="flows/words.txt")

    @resources(cpu=2, memory=4000)
    @vram("6G")
    @environment(vars={{"n": "n", "ON": "on", "E": "1e3", "O": "0o17", "NULL": "null", "Y": "é", "D": "$(PATH) $$",
                       "L" * 100: "x" * 5000, "API_KEY": "hunter2"}})
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    {LONG}()
"""
AFTER = """
from metaflow import FlowSpec, Parameter, conda_base, pypi, step, trigger_on_finish

@conda_base(python="3.11")
@trigger_on_finish(flows=["BeforeFlow", "OtherFlow"], options={"reset_at": {"cron": "0 3 ? * 2-6", "timezone": "UTC"}})
class AfterFlow(FlowSpec):
    @pypi(packages={"left": "1.0"})
    @step
    def start(self):
        self.next(self.end)

    @step
    def end(self):
        pass

if __name__ == "__main__":
    AfterFlow()
"""
POLICY = Policy(
    project="p",
    namespace="p",
    images={"flows": f"p-flows@sha256:{'0' * 64}"},
    storage="s3://bucket/here",
    deadline=7200,
    gpus={"small": GpuConfig("nvidia.com/mig-1g.10gb", 9728, {"mig": "yes"}), "large": GpuConfig(memory_mib=81920)},
    secrets=("API_KEY",),
)


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Flow, ...]:
    root = tmp_path_factory.mktemp("odd")
    (root / "flows").mkdir()
    (root / "flows" / "words.txt").write_text("one two")
    (root / "flows" / "traps.py").write_text(TRAPS)
    (root / "flows" / "after.py").write_text(AFTER)
    found, refused = compile_flows([root / "flows" / "traps.py", root / "flows" / "after.py"], root, POLICY)
    assert refused == ()
    return found


@pytest.fixture(scope="module")
def inputs(flows: tuple[Flow, ...]) -> ExportInput:
    measured = {LONG: {"start": Peak(memory_mib=1000, cpu=0.5, vram_mib=4000, runs=2)}}
    return ExportInput(root=Path("/nowhere"), policy=POLICY, flows=flows, services=(), measured=measured)


@pytest.fixture(scope="module")
def made(inputs: ExportInput) -> list[dict[str, Any]]:
    """As a YAML 1.1 reader sees them."""
    return [yaml.safe_load(document.dump(entry)) for entry in documents(inputs, templates(inputs, []))]


def _one(made: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [entry for entry in made if entry["kind"] == kind and entry["metadata"]["name"].startswith(name)]
    return found


def _step(template: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [entry for entry in template["spec"]["templates"] if entry["name"] == name]
    return dict(found)


def test_every_value_is_still_the_text_that_it_was(made: list[dict[str, Any]]) -> None:
    template = _one(made, "WorkflowTemplate", "aaaa")
    values = {entry["name"]: entry["value"] for entry in template["spec"]["arguments"]["parameters"]}
    assert {name: json.loads(values[name]) for name in ("n", "on", "float", "octal", "null", "none", "text")} == {
        "n": "n", "on": "on", "float": "1e3", "octal": "0o17", "null": "null", "none": None,
        "text": "é 😀 $(HOME) `x` \n\"'",
    }  # fmt: skip
    assert json.loads(json.loads(values["object"])) == {"é": [1, None, "on"]}
    assert json.loads(values["p-" + "x" * 80]) == "y" * 3000
    env = {entry["name"]: entry.get("value") for entry in _step(template, "start")["container"]["env"]}
    assert [env[key] for key in ("n", "ON", "E", "O", "NULL", "Y")] == ["n", "on", "1e3", "0o17", "null", "é"]
    assert env["D"] == "$$(PATH) $$$$" and env["L" * 100] == "x" * 5000


def test_a_long_name_is_cut_where_kubernetes_and_argo_end_and_said_whole(made: list[dict[str, Any]]) -> None:
    template = _one(made, "WorkflowTemplate", "aaaa")
    assert len(template["metadata"]["name"]) <= 45
    assert len(template["metadata"]["labels"]["boxplat/flow"]) <= 63
    assert template["metadata"]["annotations"]["metaflow/flow_name"] == LONG


def test_help_texts_are_no_templates(made: list[dict[str, Any]]) -> None:
    template = _one(made, "WorkflowTemplate", "aaaa")
    (described,) = [
        entry["description"] for entry in template["spec"]["arguments"]["parameters"] if entry["name"] == "n"
    ]
    assert "{{" not in described and "not a template" in described


def test_requests_are_what_was_measured_and_the_gpu_is_the_smallest_that_fits(made: list[dict[str, Any]]) -> None:
    start = _step(_one(made, "WorkflowTemplate", "aaaa"), "start")
    assert start["container"]["resources"] == {
        "requests": {"cpu": "600m", "memory": "1200Mi", "ephemeral-storage": "1024M"},
        "limits": {"memory": "4000M", "nvidia.com/mig-1g.10gb": "1"},
    }
    assert start["nodeSelector"] == {"mig": "yes"}
    assert [toleration["key"] for toleration in start["tolerations"]] == ["nvidia.com/gpu"]


def test_a_secret_variable_is_a_reference(made: list[dict[str, Any]]) -> None:
    env = {entry["name"]: entry for entry in _step(_one(made, "WorkflowTemplate", "aaaa"), "start")["container"]["env"]}
    assert env["API_KEY"]["valueFrom"] == {"secretKeyRef": {"name": "flows", "key": "API_KEY"}}
    assert "hunter2" not in json.dumps(made)


def test_an_included_file_comes_along_and_is_found_in_the_storage_of_the_environment(
    flows: tuple[Flow, ...], made: list[dict[str, Any]]
) -> None:
    values = _one(made, "WorkflowTemplate", "aaaa")["spec"]["arguments"]["parameters"]
    (value,) = [entry["value"] for entry in values if entry["name"] == "words"]
    where = json.loads(json.loads(value))["url"]
    assert where.startswith("s3://bucket/here/metaflow/data/")
    content = flows[0].packages[where.removeprefix("s3://bucket/here/metaflow/")]
    assert gzip.decompress(content) == b"one two" and content[4:8] == bytes(4)


def test_a_run_has_an_end_a_priority_and_an_owner_of_all_it_makes(made: list[dict[str, Any]]) -> None:
    for template in (entry for entry in made if entry["kind"] == "WorkflowTemplate"):
        assert template["spec"]["activeDeadlineSeconds"] == 7200
        assert template["spec"]["podPriorityClassName"] == "box-batch"
        assert {entry["container"]["name"] for entry in template["spec"]["templates"] if "container" in entry} == {
            "main"
        }


def test_the_sensor_starts_the_template_when_both_have_ended(made: list[dict[str, Any]]) -> None:
    sensor = _one(made, "Sensor")
    assert _faults(sensor, made) == set()
    (trigger,) = sensor["spec"]["triggers"]
    resets = trigger["template"]["conditionsReset"]
    assert resets == [{"byTime": {"cron": "0 3 * * 1-5", "timezone": "UTC"}}]
    awaited = [dependency["filters"]["exprs"][0]["expr"] for dependency in sensor["spec"]["dependencies"]]
    assert _workflow(sensor)["synchronization"] == {"mutexes": [{"name": "afterflow"}]}
    assert awaited == ["name == 'metaflow.BeforeFlow.end'", "name == 'metaflow.OtherFlow.end'"]
    assert _one(made, "Role")["rules"] == [
        {"apiGroups": ["argoproj.io"], "resources": ["workflows"], "verbs": ["create"]}
    ]


@pytest.mark.parametrize(
    "broken",
    [
        lambda sensor: _workflow(sensor)["workflowTemplateRef"].update(name="gone"),
        lambda sensor: sensor["spec"]["dependencies"][0].update(name="gone"),
    ],
)
def test_a_broken_sensor_is_seen(made: list[dict[str, Any]], broken: Any) -> None:
    sensor = json.loads(json.dumps(_one(made, "Sensor")))
    broken(sensor)
    assert _faults(sensor, made)


def _faults(sensor: dict[str, Any], made: list[dict[str, Any]]) -> set[str]:
    others = [*guardrails.namespace(POLICY), *(entry for entry in made if entry["kind"] != "Sensor")]
    found = broken_rules(Manifests(tuple(Manifest(entry) for entry in [*others, sensor])))
    return {fault.rule for fault in found if fault.of.startswith("Sensor")}


def _workflow(sensor: dict[str, Any]) -> dict[str, Any]:
    return dict(sensor["spec"]["triggers"][0]["template"]["k8s"]["source"]["resource"]["spec"])


def test_flows_tell_of_their_end_where_a_flow_may_wait_for_it(made: list[dict[str, Any]]) -> None:
    for name in ("aaaa", "after"):
        end = _step(_one(made, "WorkflowTemplate", name), "end")["container"]
        assert "auto-emit-argo-events=1" in end["command"][2]
        assert {"name": "METAFLOW_ARGO_EVENTS_WEBHOOK_URL", "value": url("p")} in end["env"]


def test_packages_of_an_image_take_the_place_of_those_of_conda(flows: tuple[Flow, ...], tmp_path: Path) -> None:
    """In the pod Metaflow would demand `--environment=conda` of such a flow."""
    after = flows[1]
    assert [deco.name for deco in after.declared.steps["start"] if deco.written] == ["pypi"]
    assert "conda_base" in [deco.name for deco in after.declared.flow]
    (package,) = after.packages.values()
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        archive.extractall(tmp_path, filter="data")
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / ".mf_code"), "HOME": str(tmp_path), "USER": "pod"}
    command = [sys.executable, "after.py", "--no-pylint", "run"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_spot_nodes_are_tolerated_and_what_they_take_away_is_tried_again(inputs: ExportInput) -> None:
    group = documents(inputs, templates(inputs, []))
    layers = components(inputs, group)
    assert set(layers) == {"spot", "argo-events"}
    added = [operation for patch in layers["spot"].patches for operation in patch.operations]
    retries = [operation["value"] for operation in added if operation["path"].endswith("/retryStrategy")]
    assert retries and all(retry["limit"] == 2 for retry in retries)
    assert {entry["kind"] for entry in layers["argo-events"].resources} == {
        "EventBus", "EventSource", "NetworkPolicy", "ServiceAccount",
    }  # fmt: skip


def test_the_processes_of_a_parallel_step_ask_for_what_they_took_and_go_with_their_workflow(
    gathered: ExportInput,
) -> None:
    took = {"GangFlow": {"train": Peak(memory_mib=100, cpu=0.5, runs=1)}}
    (gang,) = [
        entry for entry in templates(replace(gathered, measured=took), []) if "gang" in entry["metadata"]["name"]
    ]
    resource = _step(gang, "train")["resource"]
    jobset = yaml.safe_load(resource["manifest"].replace("{{=asInt(inputs.parameters.workerCount)}}", "1"))
    assert resource["setOwnerReference"] is True
    for job in jobset["spec"]["replicatedJobs"]:
        pod = job["template"]["spec"]["template"]["spec"]
        assert pod["priorityClassName"] == "box-batch"
        asked = pod["containers"][0]["resources"]
        assert (asked["requests"]["memory"], asked["requests"]["cpu"]) == ("120Mi", "600m")
        assert asked["limits"]["memory"] == "700M"


@pytest.mark.skipif(which("kubectl") is None, reason="Go's reader comes with kubectl")
def test_go_reads_the_same(made: list[dict[str, Any]], tmp_path: Path) -> None:
    for index, entry in enumerate(made):
        (tmp_path / f"{index}.yaml").write_text(document.dump(entry))
    listed = document.dump({"resources": [f"{index}.yaml" for index in range(len(made))]})
    (tmp_path / "kustomization.yaml").write_text(listed)
    child = subprocess.run(["kubectl", "kustomize", str(tmp_path)], capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    read = {(entry["kind"], entry["metadata"]["name"]): entry for entry in yaml.safe_load_all(child.stdout)}
    assert read == {(entry["kind"], entry["metadata"]["name"]): entry for entry in made}


def test_argo_takes_every_field(made: list[dict[str, Any]]) -> None:
    for entry in made:
        if entry["kind"] == "WorkflowTemplate":
            model = models.WorkflowTemplate.model_validate(entry)
            back = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
            assert list(dropped(entry, back)) == []


def test_a_full_disk_is_not_called_a_fault_of_the_flow(tmp_path: Path) -> None:
    file = tmp_path / "full.py"
    file.write_text('with open("/dev/full", "w") as full:\n    full.write("x")\n' + AFTER)
    with pytest.raises(OSError, match="No space left on device"):
        compile_flows([file], tmp_path, POLICY)
