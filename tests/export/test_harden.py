"""`harden` on templates made for the purpose: what it must change, and what it must leave."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from boxplat.export.flows.harden import harden, makes_jobsets
from boxplat.export.model import Declared, Decorator, Flow, Policy

POLICY = Policy(project="p", namespace="ns", images={"flows": "boxplat/p-flows:1"}, storage="s3://b")
ENV = [{"name": "MODE", "value": "ours"}, {"name": "NEW", "value": "1"}]


def _template(step: str = "", **container: Any) -> dict[str, Any]:
    command = "python -m metaflow.plugins.argo.set_parameters abcdefghij n,f,x && . `pwd`/abcdefghij"
    main = {
        "name": "start",
        "command": ["bash", "-c", command],
        "args": None,
        "env": [{"name": "MODE", "value": "theirs", "valueFrom": None}, {"name": "T", "value": "a 1.0 b"}],
        "resources": {"requests": {"cpu": "0.5", "memory": "512.0M"}, "limits": {}},
        "volumeMounts": [{"name": "out", "mountPath": "/mnt/out"}],
        **container,
    }
    volumes = [{"name": "out", "emptyDir": {}}, {"name": "dhsm", "emptyDir": {"medium": "Memory"}}]
    stamps = {"metaflow/deployment_timestamp": "2026", "metaflow/flow_name": "F"}
    return {
        "metadata": {"name": "f", "namespace": None, "annotations": stamps, "labels": {"app.kubernetes.io/name": "m"}},
        "spec": {
            "workflowMetadata": {"annotations": dict(stamps)},
            "podMetadata": {"annotations": {"metaflow/production_token": "__PLACEHOLDER_PRODUCTION_TOKEN__"}},
            "templates": [
                {
                    "name": "start",
                    "metadata": {"annotations": {"metaflow/step_name": step}},
                    "container": main,
                    "volumes": volumes,
                },
                {"name": "dag", "dag": {}},
            ],
        },
    }


def _flow(template: dict[str, Any], **declared: Any) -> Flow:
    return Flow("f.py", "F", template, {}, declared=Declared(**declared))


def _main(template: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = harden(_flow(template), POLICY, ENV)["spec"]["templates"][0]["container"]
    return container


def test_the_input_stays_as_it_was() -> None:
    template = _template()
    before = copy.deepcopy(template)
    harden(_flow(template), POLICY, ENV)
    assert template == before


def test_nothing_random_and_no_null_is_left() -> None:
    other = _template()
    text = other["spec"]["templates"][0]["container"]["command"][2]
    other["spec"]["templates"][0]["container"]["command"][2] = text.replace("abcdefghij", "zyxwvutsrq")
    other["metadata"]["annotations"]["metaflow/deployment_timestamp"] = "2027"
    hardened = harden(_flow(_template()), POLICY, ENV)
    assert hardened == harden(_flow(other), POLICY, ENV)
    assert "None" not in repr(hardened) and "PLACEHOLDER" not in repr(hardened)


def test_what_the_flow_sets_wins_and_the_rest_is_added() -> None:
    env = {entry["name"]: entry["value"] for entry in _main(_template())["env"]}
    assert env == {"MODE": "theirs", "T": "a 1.0 b", "NEW": "1"}


def test_the_memory_limit_is_the_request_unless_set() -> None:
    assert _main(_template())["resources"] == {
        "requests": {"cpu": "0.5", "memory": "512M"},
        "limits": {"memory": "512M"},
    }
    own = {"requests": {"memory": "100Mi"}, "limits": {"memory": "500Mi"}}
    assert _main(_template(resources=own))["resources"] == own


def test_a_container_keeps_the_security_settings_that_it_had_but_not_a_weaker_one() -> None:
    context = _main(_template(securityContext={"runAsGroup": 7, "allowPrivilegeEscalation": True}))["securityContext"]
    assert context["runAsGroup"] == 7
    assert context["allowPrivilegeEscalation"] is False


def test_only_a_step_with_a_gpu_tolerates_gpu_nodes() -> None:
    gpu = {"start": [Decorator("resources", {"gpu": 1})]}
    with_gpu = harden(_flow(_template(step="start"), steps=gpu), POLICY, ENV)["spec"]["templates"][0]
    without = harden(_flow(_template(step="start")), POLICY, ENV)["spec"]["templates"][0]
    assert [entry["key"] for entry in with_gpu["tolerations"]] == ["nvidia.com/gpu"]
    assert with_gpu["container"]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert "tolerations" not in without


def test_every_mounted_volume_is_declared_and_no_other() -> None:
    pod = harden(_flow(_template()), POLICY, ENV)["spec"]["templates"][0]
    mounted = [mount["name"] for mount in pod["container"]["volumeMounts"]]
    assert [volume["name"] for volume in pod["volumes"]] == mounted == ["out", "work", "data"]


@pytest.mark.parametrize("name", ["app.kubernetes.io/name"])
def test_metaflows_own_labels_stay(name: str) -> None:
    hardened = harden(_flow(_template()), POLICY, ENV)
    assert hardened["metadata"]["labels"][name] == "m"
    assert hardened["spec"]["podMetadata"]["labels"]["app.kubernetes.io/component"] == "flows"


def test_a_template_without_resource_steps_makes_no_jobsets() -> None:
    assert not makes_jobsets(_template())
