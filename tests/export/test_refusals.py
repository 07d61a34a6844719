"""A flow that would not do on a cluster what it does here is refused, with everything that has to change, unwritten."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from boxplat.core.config import Config, load
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import GpuConfig
from boxplat.core.paths import Paths
from boxplat.export import kubernetes
from boxplat.export.flows.refusals import check, local_path, refusals
from boxplat.export.model import Declared, Decorator, Flow, Policy

POLICY = Policy("p", "p", {"flows": "p-flows:1"}, "s3://b", gpus={"a": GpuConfig(memory_mib=8000)})


def _flow(name: str = "AFlow", **declared: Any) -> Flow:
    return Flow(
        f"{name}.py", name, {"metadata": {"name": name.lower().replace("_", "")}}, {}, None, Declared(**declared)
    )


def _step(decorator: str, step: str = "start", **attributes: Any) -> Flow:
    return _flow(steps={step: [Decorator(decorator, attributes)]})


def _parameter(value: object, kind: str = "str", name: str = "p") -> Flow:
    text = json.dumps(json.dumps(value)) if kind == "JSON" else json.dumps(value)
    return _flow(parameters={name: {"type": kind, "value": text}})


REFUSED = {
    "@conda": _step("conda", packages={"x": "1"}),
    "@pypi_base": _flow(flow=[Decorator("pypi_base", {"packages": {}})]),
    "@kubernetes": _step("kubernetes", image="x"),
    "@secrets reads 'db'": _step("secrets", sources=["db"]),
    "@secrets reads 'other'": _step("secrets", sources=[{"type": "aws", "id": "other"}]),
    "its name says that it is secret": _step("environment", vars={"PARTNER_API_KEY": "hunter2"}),
    "no such name of a variable": _step("environment", vars={"a b": "1"}),
    "'~/x.csv' is a path": _step("environment", vars={"DATA": "~/x.csv"}),
    "20000 MiB": _step("vram", memory="20000Mi"),
    "'much' is no size": _step("vram", memory="much"),
    "a part of a device": _step("resources", gpu=0.5),
    "begin nor end with '_'": _step("retry", step="_begin"),
    "'{{'": _parameter("{{workflow.name}}"),
    "zero byte": _parameter("a\0b"),
    "names of ASCII letters": _parameter("x", name="größe"),
    "'flows/data.csv' is a path": _parameter("flows/data.csv"),
    "is a path of this machine": _parameter({"deep": ["~/secret/file"]}, "JSON"),
    "more than 64 KiB": _parameter("x" * 70_000),
}


@pytest.mark.parametrize("why", REFUSED)
def test_each_is_refused_for_what_it_is(why: str, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "data.csv").touch()
    (found,) = refusals(REFUSED[why], POLICY, {}, tmp_path)
    assert why in found.why and found.fix and "hunter2" not in found.why + found.fix


FINE = {
    "disabled": _step("conda", disabled=True),
    "declared": _step("secrets", sources=["declared"]),
    "secret": _step("environment", vars={"DECLARED_TOKEN": "x"}),
    "tokens": _step("environment", vars={"TOKENIZERS_PARALLELISM": "false", "MAX_TOKENS": "1"}),
    "a pod's path": _parameter("/tmp/x"),
    "a URL": _parameter("https://example.org/a/b"),
    "a date": _parameter("2013-12-30"),
    "a slash": _parameter("early-stop/refit"),
    "braces": _parameter({"a": {"b": [{}]}}, "JSON"),
    "nothing": _parameter(None),
    "an included file": _flow(parameters={"f": {"type": "FilePath", "value": '"{\\"url\\": \\"s3://b/home\\"}"'}}),
    "no GPU": _step("resources", gpu=0, cpu=2),
    "a GPU": _step("vram", memory="7000Mi"),
    "Metaflow's own": _flow(steps={"start": [Decorator("kubernetes", {}, written=False)]}),
}


@pytest.mark.parametrize("what", FINE)
def test_what_works_on_a_cluster_is_not_refused(what: str, tmp_path: Path) -> None:
    policy = replace(POLICY, secrets=("declared", "DECLARED_TOKEN"))
    assert refusals(FINE[what], policy, {}, tmp_path) == []


def test_an_image_that_was_made_has_the_packages(tmp_path: Path) -> None:
    policy = replace(POLICY, images={"flows": f"p-flows@sha256:{'0' * 64}"})
    assert refusals(REFUSED["@conda"], policy, {}, tmp_path) == []


def test_two_flows_with_one_name_on_the_cluster_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BoxError, match="cannot be exported") as caught:
        check([_flow("My_Flow"), _flow("MyFlow")], POLICY, {}, tmp_path)
    assert "MyFlow" in caught.value.why and "My_Flow" in caught.value.why


def _triggering(name: str, awaited: str = "", project: str = "") -> Flow:
    noted = {"metaflow/project_flow_name": f"{project}.prod.{name}"} if project else {}
    if awaited:
        noted["metaflow/triggers"] = json.dumps([{"name": f"metaflow.{awaited}.end", "type": "run"}])
    return Flow(f"{name}.py", name, {"metadata": {"name": name.lower(), "annotations": noted}}, {})


def test_a_flow_that_would_never_hear_of_the_others_end_is_refused(tmp_path: Path) -> None:
    first = _triggering("First", project="team")
    with pytest.raises(BoxError) as caught:
        check([first, _triggering("Then", "First")], POLICY, {}, tmp_path)
    assert 'flow="team.prod.First"' in caught.value.why
    check([first, _triggering("Then", "team.prod.First"), _triggering("Last", "Elsewhere")], POLICY, {}, tmp_path)


def test_a_path_of_the_project_is_one_of_this_machine(tmp_path: Path) -> None:
    assert local_path(str(tmp_path / "x"), tmp_path) == str(tmp_path / "x")
    assert local_path("/var/lib/boxplat/data/x", tmp_path) == local_path("no/such/file", tmp_path) == ""


FLOW = """
from metaflow import FlowSpec, Parameter, conda, environment, secrets, step, vram

class {name}(FlowSpec):
    data = Parameter("data", default={here!r})

    @conda(packages={{"left": "1"}})
    @secrets(sources=["warehouse"])
    @environment(vars={{"DB_PASSWORD": "hunter2", "WHERE": {here!r}}})
    @step
    def start(self):
        self.next(self.end)

    @vram("90Gi")
    @step
    def end(self):
        pass

if __name__ == "__main__":
    {name}()
"""


@pytest.mark.integration
def test_everything_is_listed_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    root, out = tmp_path / "project", tmp_path / "out"
    (root / "flows").mkdir(parents=True)
    for name in ("OneFlow", "TwoFlow"):
        (root / "flows" / f"{name}.py").write_text(FLOW.format(name=name, here=str(root / "data.csv")))
    (root / "boxplat.toml").write_text("[gpus.a100]\nmemory_mib = 81920\n")
    (root / "flows" / "three.py").write_text(FLOW.format(name="ThreeFlow", here="x").replace("self.end", "self.gone"))
    config: Config = load(root / "boxplat.toml", {})
    with pytest.raises(BoxError) as caught:
        kubernetes(Paths(root), config, [], out)
    assert caught.value.code == ExitCode.USAGE
    why = caught.value.why
    for name in ("OneFlow", "TwoFlow"):
        for place in (".start", ".end", ".start, variable DB_PASSWORD", ".start, variable WHERE", ", parameter data"):
            assert f"{name}{place}: " in why
    assert "three.py" in why and "gone" in why
    assert why.count("change: ") == 13 and "hunter2" not in str(caught.value)
    assert not out.exists()
