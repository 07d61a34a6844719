"""Endpoints on a cluster: releases as workloads, the split as routes, what cannot deadlock and what stays closed."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import OverlayConfig
from boxplat.core.model import Service
from boxplat.export import ExportInput, render, write
from boxplat.export.check import check
from boxplat.export.serving import routes
from boxplat.export.serving.instances import endpoints
from boxplat.serving.settings import Settings, add_flags, from_flags
from tests.export.releases import CANARY, MAIN, SHADOW, declared, project, release

Documents = Mapping[str, dict[str, Any]]


def rendered(inputs: ExportInput, overlay: str = "prod") -> dict[str, dict[str, Any]]:
    """What the cluster gets, by `Kind/name`."""
    text = next(file.text for file in render(inputs).files if file.path == f"rendered/{overlay}.yaml")
    found = [entry for entry in yaml.safe_load_all(text) if entry]
    return {f"{entry['kind']}/{entry['metadata']['name']}": entry for entry in found}


@pytest.fixture(scope="module")
def documents() -> Documents:
    return rendered(project())


def _pod(deployment: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    template = deployment["spec"]["template"]
    return template["metadata"]["labels"], template["spec"]["containers"][0]


def _env(container: Mapping[str, Any]) -> dict[str, str]:
    return {entry["name"]: expanded(entry["value"]) for entry in container["env"] if "value" in entry}


def expanded(text: str) -> str:
    """As the kubelet reads a value without any variable before it (third_party/forked/golang/expansion)."""
    return re.sub(r"\$(\$|\([^)]*\))", lambda found: "$" if found[1] == "$" else found[0], text)


def test_every_release_is_a_workload_with_pods_of_its_own(documents: Documents) -> None:
    for name, number in ((MAIN, "7"), (CANARY, "8"), (SHADOW, "9")):
        labels, container = _pod(documents[f"Deployment/{name}"])
        assert labels["boxplat/release"] == number and _env(container)["BOXPLAT_RELEASE"] == number
        assert container["image"] == f"boxplat/wild-{name}:0123456789ab"
        for title, path in (
            (f"Deployment/{name}", ("selector", "matchLabels")),
            (f"Service/{name}", ("selector",)),
            (f"PodDisruptionBudget/{name}", ("selector", "matchLabels")),
        ):
            selector = documents[title]["spec"]
            for key in path:
                selector = selector[key]
            found = [other for other in (MAIN, CANARY, SHADOW) if _selects(selector, documents[f"Deployment/{other}"])]
            assert found == [name], title
        assert documents[f"HorizontalPodAutoscaler/{name}"]["spec"]["scaleTargetRef"]["name"] == name


def _selects(selector: Mapping[str, str], deployment: Mapping[str, Any]) -> bool:
    return selector.items() <= _pod(deployment)[0].items()


def test_the_next_main_release_takes_the_place_of_the_last_pod_by_pod(documents: Documents) -> None:
    """Selectors cannot be changed, and a second Deployment would wait for the GPU of the first."""
    later = rendered(project(release(8, 100)))
    assert [title for title in later if title.startswith("Deployment/delay")] == ["Deployment/delay"]
    before, after = (found["Deployment/delay"]["spec"] for found in (documents, later))
    assert before["selector"] == after["selector"]
    assert after["template"]["metadata"]["labels"]["boxplat/release"] == "8"
    assert rendered(project(release(7, 50), release(8, 50)))["Service/delay-r7"]


def test_a_gpu_is_let_go_before_the_next_pod_asks_for_it() -> None:
    made = rendered(project(release(7, 100, gpu=4000)))
    deployment = made["Deployment/delay"]["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert deployment["replicas"] == 1 and "HorizontalPodAutoscaler/delay" not in made
    pod = deployment["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "1"
    assert pod["nodeSelector"] == {"gpu": "h200"} and pod["tolerations"][0]["key"] == "nvidia.com/gpu"


def test_a_gpu_that_the_cluster_does_not_have_is_refused() -> None:
    with pytest.raises(BoxError, match="delay") as caught:
        render(project(release(7, 100, gpu=40000)))
    assert caught.value.code is ExitCode.USAGE
    assert "40000 MiB" in caught.value.why and "[gpus.NAME]" in caught.value.fix


def _rules(route: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [rule for rule in route["spec"]["rules"] if rule.get("backendRefs")]


def _weights(route: Mapping[str, Any]) -> dict[str, int]:
    (rule,) = _rules(route)
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


@st.composite
def _splits(draw: st.DrawFn) -> dict[int, int]:
    cuts = sorted(draw(st.sets(st.integers(1, 99), max_size=4)))
    parts = [after - before for before, after in zip([0, *cuts], [*cuts, 100], strict=True)]
    numbers = draw(st.lists(st.integers(1, 500), min_size=len(parts), max_size=len(parts), unique=True))
    return dict(zip(numbers, parts, strict=True))


@settings(deadline=None)
@given(_splits())
def test_routes_have_the_weights_of_the_local_split(split: Mapping[int, int]) -> None:
    inputs = project(*(release(number, weight) for number, weight in split.items()))
    numbers = {one.name: one.release.number for one in endpoints(inputs)["delay"] if one.release}
    for route in routes.documents(inputs):
        if route["kind"] != "NetworkPolicy":
            weights = _weights(route)
            assert {numbers[name]: weight for name, weight in weights.items()} == split
    assert split[numbers["delay"]] == max(split.values())


def test_a_shadow_gets_copies_and_nothing_else(documents: Documents) -> None:
    for kind, port in (("HTTPRoute", 3000), ("GRPCRoute", 4000)):
        (rule,) = _rules(documents[f"{kind}/delay"])
        assert _weights(documents[f"{kind}/delay"]) == {MAIN: 90, CANARY: 10}
        by_type = {entry["type"]: entry for entry in rule["filters"]}
        assert by_type["RequestMirror"]["requestMirror"] == {"backendRef": {"name": SHADOW, "port": port}}
    assert documents[f"HorizontalPodAutoscaler/{SHADOW}"]["spec"]["minReplicas"] == 1


def test_the_logs_own_headers_do_not_come_from_outside(documents: Documents) -> None:
    from boxplat.serving.log.marks import SHADOW as COPY
    from boxplat.serving.log.marks import WARMUP

    for kind in ("HTTPRoute", "GRPCRoute"):
        (rule,) = _rules(documents[f"{kind}/delay"])
        removed = next(entry for entry in rule["filters"] if entry["type"] == "RequestHeaderModifier")
        assert set(removed["requestHeaderModifier"]["remove"]) == {COPY.decode(), WARMUP.decode()}


def test_what_operates_a_server_leads_nowhere_from_outside(documents: Documents) -> None:
    closed = [rule for rule in documents["HTTPRoute/delay"]["spec"]["rules"] if not rule.get("backendRefs")]
    paths = {match["path"]["value"] for rule in closed for match in rule["matches"]}
    assert paths == {"/metrics", "/v2/repository"}
    own = replace(declared(7), health="/api/v1/readyz")
    prefixed = rendered(project(replace(release(7, 100), service=own)))
    assert "/api/v1/metrics" in json.dumps(prefixed["HTTPRoute/delay"])
    assert prefixed["ServiceMonitor/delay"]["spec"]["endpoints"][0]["path"] == "/api/v1/metrics"
    assert _pod(prefixed["Deployment/delay"])[1]["livenessProbe"]["httpGet"]["path"] == "/api/v1/livez"


def test_routes_attach_to_the_declared_gateway_under_the_overlays_host(documents: Documents) -> None:
    route = documents["HTTPRoute/delay"]["spec"]
    assert route["parentRefs"] == [{"name": "public", "namespace": "edge"}]
    assert route["hostnames"] == ["delay.example.org"]
    grpc = documents["GRPCRoute/delay"]["spec"]
    assert grpc["parentRefs"] == [{"name": "public", "namespace": "edge", "sectionName": "grpc"}]


def test_tracking_is_reached_from_outside_only_where_it_has_a_host(documents: Documents) -> None:
    assert "HTTPRoute/tracking" not in documents
    made = rendered(project(overlays={"prod": OverlayConfig(hosts={"tracking": "mlflow.example.org"})}))
    route = made["HTTPRoute/tracking"]["spec"]
    assert route["hostnames"] == ["mlflow.example.org"]
    assert route["rules"][-1]["backendRefs"] == [{"name": "tracking", "port": 5000}]
    policy = made["NetworkPolicy/route-to-tracking"]["spec"]
    assert policy["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "tracking"}
    assert policy["ingress"][0]["ports"] == [{"protocol": "TCP", "port": 5000}]


def test_without_a_host_no_two_endpoints_share_one() -> None:
    inputs = project(overlays={"prod": OverlayConfig(components=("gateway",))})
    inputs = replace(inputs, policy=replace(inputs.policy, gateway=""))
    route = rendered(inputs)["HTTPRoute/delay"]["spec"]
    assert route["hostnames"] == ["delay.wild.svc"] and route["parentRefs"] == [{"name": "gateway"}]


def test_a_release_that_speaks_no_grpc_gets_none() -> None:
    made = rendered(project(release(7, 60), release(8, 40, grpc=False)))
    assert _weights(made["GRPCRoute/delay"]) == {"delay": 60}
    assert [port["name"] for port in made["Service/delay-r8"]["spec"]["ports"]] == ["http"]
    assert "GRPCRoute/delay" not in rendered(project(release(7, 100, grpc=False)))


@pytest.mark.parametrize(("asked", "given"), [(4000, 4000), (1, 9000), (-1, 9000), (443, 9000)])
def test_ports_for_grpc_are_such_that_a_user_may_bind(asked: int, given: int) -> None:
    own = replace(declared(7), grpc_port=asked)
    made = rendered(project(replace(release(7, 100), service=own)))
    _, container = _pod(made["Deployment/delay"])
    assert container["command"][container["command"].index("--grpc-port") + 1] == str(given)
    assert {"name": "grpc", "containerPort": given} in container["ports"]
    assert made["NetworkPolicy/grpc-to-delay"]["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": given}]


def test_values_and_words_mean_the_same_to_the_kubelet() -> None:
    wild = "a$$b $(HOME) $1 $ $$$ $$(X)"
    own = declared(7)
    own = replace(own, env={**own.env, "PRICE": wild}, command=(*own.command, wild))
    _, container = _pod(rendered(project(replace(release(7, 100), service=own)))["Deployment/delay"])
    assert _env(container)["PRICE"] == wild
    assert wild in map(expanded, container["command"])


def test_a_gateway_closes_a_connection_before_the_server_does(documents: Documents) -> None:
    """Envoy keeps one for an hour; a request that meets the server's end of it is lost."""
    _, container = _pod(documents["Deployment/delay"])
    settings, _ = _flags(container["command"])
    assert settings.keep_alive > 3600


def test_the_flags_of_a_release_are_those_of_its_worker(documents: Documents) -> None:
    _, container = _pod(documents["Deployment/delay"])
    settings, rest = _flags(container["command"])
    assert (settings.workers, settings.waiting, settings.grpc_port, settings.host) == (2, 64, 4000, "0.0.0.0")
    assert str(settings.log).startswith("/var/lib/boxplat/") and rest == ["--port", "3000"]


def _flags(command: list[str]) -> tuple[Settings, list[str]]:
    parser = argparse.ArgumentParser()
    add_flags(parser)
    args, rest = parser.parse_known_args(command[4:])
    return from_flags(args), rest


def test_pods_start_where_the_image_has_the_bento(documents: Documents) -> None:
    for name in (MAIN, CANARY, SHADOW):
        _, container = _pod(documents[f"Deployment/{name}"])
        assert container["workingDir"] == "/app/bento"
        assert container["command"][:4] == ["python", "-m", "boxplat.serving.worker", "/app/bento"]


def test_a_server_that_waits_is_not_started_anew_for_it(documents: Documents) -> None:
    _, container = _pod(documents["Deployment/delay"])
    paths = {probe: container[probe]["httpGet"]["path"] for probe in ("readinessProbe", "livenessProbe")}
    assert paths == {"readinessProbe": "/readyz", "livenessProbe": "/livez"}


def test_nodes_can_be_drained_and_replicas_come_from_the_overlay() -> None:
    overlay = OverlayConfig(replicas={"delay": 3}, max_replicas=2)
    made = rendered(project(overlays={"prod": overlay, "dev": OverlayConfig()}))
    for name in (MAIN, CANARY):
        scaled = made[f"HorizontalPodAutoscaler/{name}"]["spec"]
        assert (scaled["minReplicas"], scaled["maxReplicas"]) == (3, 3)
        assert made[f"PodDisruptionBudget/{name}"]["spec"]["maxUnavailable"] == 1
    assert made[f"HorizontalPodAutoscaler/{SHADOW}"]["spec"]["minReplicas"] == 1
    base = rendered(project(overlays={"dev": OverlayConfig()}), "dev")
    assert base["HorizontalPodAutoscaler/delay"]["spec"]["minReplicas"] == 1


def test_a_service_that_has_the_name_of_a_release_is_refused() -> None:
    inputs = project()
    clash = Service(name=CANARY, command=("true",))
    with pytest.raises(BoxError, match=CANARY) as caught:
        render(replace(inputs, services=(*inputs.services, clash)))
    assert caught.value.code is ExitCode.USAGE


def test_a_release_beside_the_main_one_may_call_and_know_what_it_declares() -> None:
    """Its own references and secrets, not only those of the main one."""
    other = Service(name="web", command=("true",), port=8000, env={"ADDRESS": "postgres://me:hunter2@db/x"})
    canary = release(8, 10)
    env = {**canary.service.env, "WEB": "${web.url}", "PARTNER_TOKEN": "hunter2", "AZURE_STORAGE_ACCESS_KEY": "hunter2"}
    inputs = project(release(7, 90), replace(canary, service=replace(canary.service, env=env)))
    policy = replace(inputs.policy, images={**inputs.policy.images, "web": "x:1"})
    files = render(replace(inputs, policy=policy, services=(*inputs.services, other))).files
    assert not [file.path for file in files if "hunter2" in file.text]
    lock = json.loads(next(file.text for file in files if file.path == "export.lock.json"))
    assert lock["secrets"]["delay"] == ["AZURE_STORAGE_ACCESS_KEY", "PARTNER_TOKEN"]
    assert lock["secrets"]["web"] == ["ADDRESS"]
    calls = next(file.text for file in files if file.path == "base/network/networkpolicy-from-delay.yaml")
    assert "web" in calls


def test_what_a_release_is_made_of_stands_at_its_deployment(documents: Documents) -> None:
    notes = documents[f"Deployment/{CANARY}"]["metadata"]["annotations"]
    assert notes == {"boxplat/bento": "delay:c8", "boxplat/model": "delay/8"}


def test_pods_of_a_release_go_to_several_nodes(documents: Documents) -> None:
    deployment = documents["Deployment/delay"]["spec"]
    (spread,) = deployment["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == deployment["selector"] and spread["whenUnsatisfiable"] == "ScheduleAnyway"


def test_no_rule_is_broken(tmp_path: Path) -> None:
    write(render(project()), tmp_path / "out")
    report = check(tmp_path / "out", with_schemas=False)
    assert report.faults == () and not [row for row in report.parity if not row.path and not row.why_not]


def test_kubernetes_takes_every_field_of_it(documents: Documents) -> None:
    own = [one for one in documents.values() if not re.search(r"argoproj|monitoring|gateway", one["apiVersion"])]
    assert len(own) > 15
    for entry in own:
        kubernetes_validate.validate(entry, "1.36", strict=True)
