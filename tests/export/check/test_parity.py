"""The parity table: every declaration has a place that is read from the manifests, a reason, or is a gap."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import pytest
import yaml

from boxplat.core.config import Config, StartsConfig
from boxplat.core.export_config import OverlayConfig
from boxplat.core.live import GuardsConfig
from boxplat.export import ExportInput, render
from boxplat.export.model import Declared, Decorator, Flow, Peak
from boxplat.export.parity import Carried, carried, load
from boxplat.export.pointers import resolve
from tests.export.releases import project

SECRET = "hunter2-hunter2"
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "f", "annotations": {"metaflow/flow_name": "F"}},
    "spec": {
        "entrypoint": "F",
        "arguments": {"parameters": [{"name": "n", "value": "1"}]},
        "templates": [
            {"name": "F", "dag": {"tasks": []}},
            {
                "name": "fit-it",
                "retryStrategy": {"limit": 3, "backoff": {"duration": "2m"}},
                "activeDeadlineSeconds": 90,
                "container": {
                    "env": [{"name": "MODE", "value": "on"}],
                    "resources": {
                        "requests": {"cpu": "2", "memory": "600M"},
                        "limits": {"memory": "600M", "nvidia.com/gpu": "1"},
                    },
                },
            },
        ],
    },
}
CRON = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "CronWorkflow",
    "metadata": {"name": "f"},
    "spec": {
        "schedules": ["0 0 * * *"],
        "timezone": "Europe/Berlin",
        "concurrencyPolicy": "Forbid",
        "startingDeadlineSeconds": 60,
    },
}


def flow(*decorators: Decorator, of_flow: tuple[Decorator, ...] = ()) -> ExportInput:
    declared = Declared({"fit_it": decorators}, of_flow, {"n": {"value": "1"}})
    one = Flow("f.py", "F", TEMPLATE, {"F/data/ab/abc": b""}, declared=declared)
    return replace(project(), flows=(one,), services=(), releases={}, guards={}, overlays={})


def told(inputs: ExportInput, *documents: Mapping[str, Any]) -> dict[tuple[str, str], Carried]:
    named = {f"base/flows/{number}.yaml": dict(one) for number, one in enumerate(documents)}
    return {(row.of, row.what): row for row in carried(inputs, named)}


@pytest.fixture(scope="module")
def rows() -> dict[tuple[str, str], Carried]:
    """Of an endpoint with three releases, with settings and an objective that nothing carries."""
    guards = {"delay": GuardsConfig(errors=0.02, p99_ms=50, drift=0.2, window="10m")}
    settings = {"gates.delay.metric": "auc", "endpoints.delay.idle": "10m", "endpoints.delay.waiting": 64, "odd.key": 1}
    inputs = replace(project(), guards=guards, settings=settings, undeployed=("fraud",))
    files = {file.path: file.text for file in render(inputs).files}
    found = load(files["parity.json"].encode())
    for row in found:
        if "#" in row.path:
            path, _, pointer = row.path.partition("#")
            assert resolve(yaml.safe_load(files[path]), pointer) is not None
    return {(row.of, row.what): row for row in found}


def test_each_release_has_its_share_and_its_version_where_the_route_and_the_pod_have_them(
    rows: Mapping[tuple[str, str], Carried],
) -> None:
    assert rows["delay/7", "share"].found == "90" and rows["delay/8", "share"].found == "10"
    assert "requestMirror" in rows["delay/9", "share"].path
    for number, name in ((7, "delay"), (8, "delay-r8"), (9, "delay-r9")):
        row = rows[f"delay/{number}", "version"]
        assert f"deployment-{name}.yaml#" in row.path and f"models:/delay/{number}" in row.found
    assert "deployment-delay-r8.yaml#" in rows["delay/8", "variable BOXPLAT_RELEASE"].path


def test_objectives_are_alerts_or_say_why_not(rows: Mapping[tuple[str, str], Carried]) -> None:
    assert "prometheusrule-delay.yaml#" in rows["guards.delay", "errors"].path
    assert "alert" in rows["guards.delay", "p99_ms"].value and rows["guards.delay", "p99_ms"].path
    assert rows["guards.delay", "drift"].why_not and not rows["guards.delay", "drift"].path


def test_what_no_environment_opts_in_to_is_said_to_be_left() -> None:
    """Without the route all requests reach one release, without the rules nobody is alarmed."""
    guards = {"delay": GuardsConfig(errors=0.02)}

    def left(*components: str) -> list[str]:
        inputs = replace(project(), guards=guards, overlays={"dev": OverlayConfig(components=components)})
        found = load({file.path: file.text for file in render(inputs).files}["parity.json"].encode())
        return sorted({row.what for row in found if row.path.startswith("components/") and row.why_not})

    assert left() == ["errors", "share"]
    assert left("gateway", "monitoring") == []


def test_settings_are_in_a_command_or_have_a_reason_and_an_unknown_one_is_a_gap(
    rows: Mapping[tuple[str, str], Carried],
) -> None:
    assert rows["endpoints.delay", "waiting"].found == "--waiting"
    assert rows["endpoints.delay", "idle"].why_not and rows["gates", "delay.metric"].why_not
    assert [key for key, row in rows.items() if row.gap] == [("odd", "key")]
    assert "box deploy fraud" in rows["fraud", "endpoint"].why_not


def test_no_section_of_the_settings_is_a_gap_by_itself() -> None:
    """Whoever adds a section says where a cluster has it, or why it has no use for it."""
    sections = {field.name for field in fields(Config)} - {"origins", "overlays"}
    settings: dict[str, object] = {f"{section}.x.y": 1 for section in sections - {"project", "tracking", "endpoints"}}
    found = told(replace(flow(), settings=settings, feature_store={}), TEMPLATE)
    assert [key for key, row in found.items() if row.gap and key[0] in sections] == []


def test_missed_times_that_argo_does_not_make_up_for_are_not_called_carried() -> None:
    def missed(choice: str) -> Carried:
        return told(replace(flow(), schedules={"F": StartsConfig(missed=choice)}), TEMPLATE, CRON)["F", "missed times"]

    assert missed("last").found == missed("skip").found == "60"
    assert "the last of the missed" in missed("all").why_not and not missed("all").path


def test_every_secret_that_people_make_is_read(rows: Mapping[tuple[str, str], Carried]) -> None:
    assert "deployment-tracking.yaml#" in rows["Secret database", "tracking-url"].path
    # Without a Feast repository nobody reads its registry.
    assert rows["Secret online-store", "connection"].why_not


def test_decorators_lead_to_what_they_came_to() -> None:
    decorators = (
        Decorator("retry", {"times": 3, "minutes_between_retries": 2}),
        Decorator("timeout", {"minutes": 1, "seconds": 30}),
        Decorator("resources", {"cpu": 2, "memory": 500, "gpu": 1}),
        Decorator("environment", {"vars": {"MODE": "on"}}),
        Decorator("card", {"type": "html"}),
        Decorator("environment", {"vars": {"ADDED": "x"}}, written=False),
    )
    of_flow = (Decorator("schedule", {"daily": True, "timezone": "Europe/Berlin"}),)
    inputs = replace(flow(*decorators, of_flow=of_flow), measured={"F": {"fit_it": Peak(memory_mib=480)}})
    found = told(replace(inputs, schedules={"F": StartsConfig(after=("G",))}), TEMPLATE, CRON)
    there = {what: row.found for (of, what), row in found.items() if of == "F/fit_it"}
    assert there == {
        "retry times": "3",
        "retry wait, minutes": "2m",
        "time-out": "90",
        "resources cpu": "2",
        "resources memory": "600M",
        "resources gpu": "1",
        "variable MODE": '{"name": "MODE", "value": "on"}',
        "card": "done by the task itself",
        "measured peak": "600M",
    }
    assert found["F", "schedule"].found == "0 0 * * *" and found["F", "time zone"].found == "Europe/Berlin"
    assert found["F", "not before"].why_not and found["F/fit_it", "time-out"].value == "90 s"
    assert found["F/fit_it", "card"].path == "code/F/data/ab/abc"


@pytest.mark.parametrize(
    ("decorator", "what"),
    [
        (Decorator("environment", {"vars": {"GONE": "x"}}), "variable GONE"),
        (Decorator("resources", {"shared_memory": 64}), "resources shared_memory"),
        (Decorator("parallel", {}), "parallel"),
    ],
)
def test_what_a_template_does_not_have_is_a_gap(decorator: Decorator, what: str) -> None:
    assert told(flow(decorator), TEMPLATE, CRON)["F/fit_it", what].gap


def test_a_schedule_or_a_trigger_without_an_object_is_a_gap() -> None:
    of_flow = (Decorator("schedule", {"daily": True}), Decorator("trigger", {"event": "x"}))
    found = told(flow(of_flow=of_flow), TEMPLATE)
    assert found["F", "schedule"].gap and found["F", "trigger"].gap


def test_a_secret_is_never_shown() -> None:
    inputs = flow(Decorator("environment", {"vars": {"API_KEY": SECRET}}))
    settings = {"endpoints.delay.env.DB_PASSWORD": SECRET, "services.x.env.TOKEN": SECRET}
    found = told(replace(inputs, settings=settings), TEMPLATE)
    assert not [row for row in found.values() if SECRET in repr(row)]


def test_what_an_environment_changes_is_in_its_own_files() -> None:
    overlays = {
        "prod": OverlayConfig(replicas={"delay": 3}, quota={"pods": "77"}, components=("monitoring",)),
        "dev": OverlayConfig(),
    }
    settings = {
        "overlays.prod.replicas.delay": 3,
        "overlays.prod.quota.pods": "77",
        "overlays.prod.components": ("monitoring",),
        "overlays.prod.hosts.delay": "lost.example.org",
        "overlays.staging.quota.pods": "5",
    }
    made = render(replace(project(), overlays=overlays, settings=settings)).files
    (table,) = [file.text for file in made if file.path == "parity.json"]
    found = {row.what: row for row in load(table.encode()) if row.of == "overlays"}
    assert found["prod.replicas.delay"].path == "overlays/prod/patch-horizontalpodautoscaler-delay.yaml"
    assert found["prod.quota.pods"].path == "overlays/prod/patch-resourcequota-quota.yaml"
    assert "components/monitoring" in found["prod.components"].found
    assert found["prod.hosts.delay"].gap and found["staging.quota.pods"].why_not
