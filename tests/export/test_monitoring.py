"""Rules and dashboards against what a server of an exported endpoint really says under `/metrics`."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from boxplat.core.live import GuardsConfig
from boxplat.export.serving.queries import BATCHES, ENDPOINT, PATH, RELEASE, REQUESTS, RUNNING, SECONDS, STATUS
from boxplat.export.verify.storage import free_ports
from tests.export.releases import GUARDS, project, release
from tests.export.test_endpoints import rendered
from tests.serving.conftest import clean_environment

_SERVICE = """\
import bentoml


@bentoml.service
class Watched:
    @bentoml.api(batchable=True)
    def double(self, numbers: list[float]) -> list[float]:
        return [2 * number for number in numbers]

    @bentoml.api
    def fail(self) -> float:
        raise ValueError("on purpose")
"""
_PATIENCE = 180
# What the server says last of a request: each of its processes counts for itself, and writes that once a second.
_COUNTED = (
    "prediction_log_records_total [1-9]",
    rf"^{BATCHES}_count.* [1-9]",
    *(rf'^{SECONDS}_sum\{{.*endpoint="/{name}".* .*[1-9]' for name in ("double", "fail", "readyz")),
    *(rf'^{RUNNING}\{{.*endpoint="/{name}".* 0' for name in ("double", "fail")),
)


@dataclass(frozen=True)
class Sample:
    """One line of `/metrics` as Prometheus stores it."""

    name: str
    labels: Mapping[str, str]


def _ask(port: int, path: str, body: bytes | None = None) -> str:
    # All of 127.0.0.0/8 is this machine: a server that listens at 127.0.0.1 alone does not answer here.
    request = urllib.request.Request(f"http://127.0.0.2:{port}{path}", body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return f"{error.code}"


def _until(process: subprocess.Popen[bytes], port: int, path: str, words: Sequence[str], log: Path) -> str:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            found = _ask(port, path)
            if all(re.search(word, found, re.MULTILINE) for word in words):
                return found
        time.sleep(0.05)
    raise AssertionError(f"{words} did not appear at {path} in {_PATIENCE} s:\n{log.read_text()}")


def _command(folder: Path, ports: Mapping[str, str]) -> list[str]:
    """That of the exported Deployment, where the image's paths and its own ports are not."""
    container = rendered(project(release(7, 100)))["Deployment/delay"]["spec"]["template"]["spec"]["containers"][0]
    moved = {"python": sys.executable, "/app/bento": "service:Watched", **ports}
    words = [moved.get(word, word) for word in container["command"]]
    return [str(folder / "log") if word.startswith("/var/lib/boxplat") else word for word in words]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int, str]]:
    """An endpoint's process as a pod runs it: its ports, and what it says of itself after some requests."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "service.py").write_text(_SERVICE)
    port, grpc = free_ports(2)
    log = folder / "output"
    with log.open("wb") as output:
        words = _command(folder, {"3000": str(port), "4000": str(grpc)})
        env = clean_environment(folder / "scratch")
        process = subprocess.Popen(words, cwd=folder, env=env, stdout=output, stderr=output)
    try:
        _until(process, port, "/readyz", [r"^\s*$"], log)
        assert _ask(port, "/double", b'{"numbers": [1, 2]}') == "[2.0, 4.0]"
        assert _ask(port, "/fail", b"{}") == "500"
        yield port, grpc, _until(process, port, "/metrics", _COUNTED, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def stored(server: tuple[int, int, str]) -> list[Sample]:
    """The samples with the labels that the exported ServiceMonitor gives them, and Prometheus's own `up`."""
    scrape = rendered(project())["ServiceMonitor/delay"]["spec"]["endpoints"][0]
    target = {"namespace": "wild", "endpoint": scrape["port"], "job": "delay"}
    pod = {"__meta_kubernetes_pod_label_boxplat_release": "7"}
    target = {key: value for key, value in _relabelled(pod | target, scrape["relabelings"]).items() if key[:2] != "__"}
    found = [Sample("up", target)]
    for family in text_string_to_metric_families(server[2]):
        for sample in family.samples:
            own = {f"exported_{key}" if key in target else key: value for key, value in sample.labels.items()}
            found.append(Sample(sample.name, _relabelled(own | target, scrape["metricRelabelings"])))
    return found


def _relabelled(labels: dict[str, str], rules: list[dict[str, Any]]) -> dict[str, str]:
    """Prometheus's `replace` (relabel_config): the joined source labels, or a text, under another name."""
    for rule in rules:
        assert rule["action"] == "replace"
        value = rule.get("replacement") or ";".join(labels.get(name, "") for name in rule["sourceLabels"])
        labels = {**labels, rule["targetLabel"]: value}
    return labels


def _expressions() -> dict[str, str]:
    """Every query of the rules and of the dashboard."""
    made = rendered(project())
    (group,) = made["PrometheusRule/delay"]["spec"]["groups"]
    found = {rule["alert"]: rule["expr"] for rule in group["rules"]}
    (content,) = made["ConfigMap/delay-dashboard"]["data"].values()
    for panel in json.loads(content)["panels"]:
        for target in panel["targets"]:
            # Grafana puts the interval there before Prometheus reads it.
            found[f"{panel['title']} {target['refId']}"] = target["expr"].replace("$__rate_interval", "2m")
    return found


def _selected(node: Any, groups: frozenset[str] = frozenset()) -> Iterator[tuple[Any, frozenset[str]]]:
    """The series that an expression names, each with the labels that it is grouped by."""
    match node:
        case promql_parser.VectorSelector():
            yield node, groups
        case promql_parser.MatrixSelector():
            yield node.vector_selector, groups
        case promql_parser.BinaryExpr():
            yield from _selected(node.lhs, groups)
            yield from _selected(node.rhs, groups)
        case promql_parser.Call():
            for argument in node.args:
                yield from _selected(argument, groups)
        case promql_parser.AggregateExpr():
            yield from _selected(node.expr, groups | set(node.modifier.labels))
        case promql_parser.ParenExpr():
            yield from _selected(node.expr, groups)
        case _:
            assert isinstance(node, promql_parser.NumberLiteral), type(node)


def _fits(sample: Sample, selector: Any) -> bool:
    if sample.name != selector.name:
        return False
    for matcher in selector.matchers.matchers:
        value, op = sample.labels.get(matcher.name, ""), str(matcher.op)
        found = re.fullmatch(matcher.value, value) if "Re" in op else value == matcher.value
        if bool(found) == ("Not" in op):
            return False
    return True


@pytest.mark.integration
def test_every_query_names_what_the_server_says(stored: list[Sample]) -> None:
    expressions = _expressions()
    assert len(expressions) > 12
    for name, expression in expressions.items():
        found = list(_selected(promql_parser.parse(expression)))
        assert found, name
        for selector, groups in found:
            samples = [sample for sample in stored if _fits(sample, selector)]
            assert samples, f"{name}: nothing is {selector.prettify()}"
            assert all(groups <= set(sample.labels) for sample in samples), name


@pytest.mark.integration
def test_probes_are_no_requests(stored: list[Sample]) -> None:
    """The server counts those of the kubelet, with 503 until it is ready."""
    assert [one for one in stored if one.name == "bentoml_service_request_total" and one.labels[PATH] == "/readyz"]
    asked = [
        sample.labels[PATH]
        for expression in _expressions().values()
        for selector, _ in _selected(promql_parser.parse(expression))
        for sample in stored
        if "request" in selector.name and _fits(sample, selector)
    ]
    assert set(asked) == {"/double", "/fail"}


@pytest.mark.integration
def test_the_exported_command_listens_for_other_pods(server: tuple[int, int, str]) -> None:
    for port in server[:2]:
        socket.create_connection(("127.0.0.2", port), timeout=60).close()


def _alerts(guards: GuardsConfig | None) -> dict[str, dict[str, Any]]:
    inputs = project(guards={} if guards is None else {"delay": guards})
    (group,) = rendered(inputs)["PrometheusRule/delay"]["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_limits_of_the_guards_are_those_of_the_alerts() -> None:
    alerts = _alerts(replace(GUARDS, errors=0.031, p99_ms=77, least=123, window="15 m"))
    errors, slow = alerts["EndpointErrors"]["expr"], alerts["EndpointSlow"]["expr"]
    assert " > 0.031 and " in errors and " > 77 and " in slow
    assert errors.endswith(">= 123") and slow.endswith(">= 123") and errors.count("[15m]") == 3
    assert set(_alerts(None)) == {"EndpointUnreachable", "PredictionLogStopped"}
    assert set(_alerts(replace(GUARDS, errors=0))) == {"EndpointSlow", *_alerts(None)}


def test_a_limit_beyond_the_last_bucket_makes_no_alert_that_never_fires() -> None:
    assert "EndpointSlow" not in _alerts(replace(GUARDS, p99_ms=180_000))
    assert "EndpointSlow" in _alerts(replace(GUARDS, p99_ms=179_999))


def test_the_dashboard_shows_the_limits() -> None:
    (content,) = rendered(project())["ConfigMap/delay-dashboard"]["data"].values()
    board = json.loads(content)
    limits = {
        panel["title"]: panel["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"]
        for panel in board["panels"]
    }
    assert limits["Failed requests"] == 0.02 and limits["Time to the answer"] == 50
    assert len(board["uid"]) <= 40 and len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_a_monitor_finds_the_services_of_all_releases_and_may_ask_their_pods() -> None:
    made = rendered(project())
    selector = made["ServiceMonitor/delay"]["spec"]["selector"]["matchLabels"]
    found = {
        t for t, e in made.items() if e["kind"] == "Service" and selector.items() <= e["metadata"]["labels"].items()
    }
    assert found == {"Service/delay", "Service/delay-r8", "Service/delay-r9"}
    policy = made["NetworkPolicy/metrics-of-delay"]["spec"]
    assert policy["ingress"][0]["from"][0]["namespaceSelector"]["matchLabels"] == {"boxplat/metrics": "true"}


def test_the_scrape_of_tracking_logs_in_from_a_secret() -> None:
    (scrape,) = rendered(project())["ServiceMonitor/tracking"]["spec"]["endpoints"]
    assert scrape["basicAuth"]["password"] == {"name": "tracking-auth", "key": "admin-password"}


@pytest.mark.skipif(which("promtool") is None, reason="promtool comes with Prometheus")
def test_prometheus_itself_fires_the_alerts(tmp_path: Path) -> None:
    """Half of the requests of release 8 fail slowly; release 7 answers well, and its probes fail."""
    (group,) = rendered(project())["PrometheusRule/delay"]["spec"]["groups"]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [group]}))
    requests = ((7, "/predict", 200, 60), (7, "/readyz", 503, 60), (8, "/predict", 200, 30), (8, "/predict", 500, 30))
    buckets = ((7, "0.01", 60), (7, "+Inf", 60), (8, "0.01", 0), (8, "0.1", 60), (8, "+Inf", 60))
    series = [
        _counted(REQUESTS, number, f',{PATH}="{path}",{STATUS}="{status}"', each)
        for number, path, status, each in requests
    ]
    series += [
        _counted(f"{SECONDS}_bucket", number, f',{PATH}="/predict",le="{le}"', each) for number, le, each in buckets
    ]
    series.append({"series": _series("up", 7), "values": "1+0x60"})
    expected = {"EndpointErrors": ["8"], "EndpointSlow": ["8"], "EndpointUnreachable": [], "PredictionLogStopped": []}
    tests = [
        {"alertname": alert, "eval_time": "20m", "exp_alerts": [_fired(group, alert, number) for number in numbers]}
        for alert, numbers in expected.items()
    ]
    content = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "30s",
        "tests": [{"interval": "30s", "input_series": series, "alert_rule_test": tests}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(content))
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def _series(name: str, number: int, more: str = "") -> str:
    return f'{name}{{namespace="wild",{ENDPOINT}="delay",{RELEASE}="{number}"{more}}}'


def _counted(name: str, number: int, more: str, each: int) -> dict[str, str]:
    """Of a promtool test: so many more at each of 60 scrapes."""
    return {"series": _series(name, number, more), "values": f"0+{each}x60"}


def _fired(group: Mapping[str, Any], alert: str, number: str) -> dict[str, Any]:
    rule = next(one for one in group["rules"] if one["alert"] == alert)
    words = {"EndpointErrors": "50%", "EndpointSlow": "99.1"}[alert]
    said = re.sub(r"\{\{ \$value[^}]*\}\}", words, rule["annotations"]["summary"])
    said = said.replace(f"{{{{ $labels.{RELEASE} }}}}", number)
    return {"exp_labels": {**rule["labels"], RELEASE: number}, "exp_annotations": {"summary": said}}
