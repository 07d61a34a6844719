"""A corpus of planted faults: each is rejected under the name of its rule, in an export that breaks none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from boxplat.export.check import ABOUT, RULES, broken, schemas
from boxplat.export.check.folder import Folder
from boxplat.export.check.model import Manifest, Manifests

pytestmark = pytest.mark.integration
Documents = dict[str, Any]
DELAY, LARGE, WIDE = "Deployment/delay", "Deployment/large", "WorkflowTemplate/wideflow"
GANG, LINEAR = "WorkflowTemplate/boxtest.prod.gangflow", "WorkflowTemplate/linearflow"


def pod(documents: Documents, title: str = DELAY) -> Any:
    return documents[title]["spec"]["template"]["spec"]


def main(documents: Documents, title: str = DELAY) -> Any:
    return pod(documents, title)["containers"][0]


def context(documents: Documents) -> Any:
    return main(documents)["securityContext"]


def step(documents: Documents, name: str, title: str = WIDE) -> Any:
    return next(one for one in documents[title]["spec"]["templates"] if one["name"] == name)


def task(documents: Documents, name: str = "start") -> Any:
    graph = step(documents, "WideFlow")
    return next(one for one in graph["dag"]["tasks"] if one["name"] == name)


def added(documents: Documents, kind: str, version: str, name: str, **more: Any) -> None:
    metadata = {"name": name, "namespace": "wild-box"}
    documents[f"{kind}/{name}"] = {"apiVersion": version, "kind": kind, "metadata": metadata, **more}


def copied(documents: Documents, title: str, name: str) -> Any:
    made = copy.deepcopy(documents[title])
    made["metadata"]["name"] = name
    documents[f"{made['kind']}/{name}"] = made
    return made


def gang(documents: Documents, old: str, new: str) -> None:
    resource = next(one for one in documents[GANG]["spec"]["templates"] if "resource" in one)["resource"]
    assert old in resource["manifest"]
    resource["manifest"] = resource["manifest"].replace(old, new, 1)


def dropped(key: str, *places: Any) -> None:
    for place in places:
        place.pop(key, None)


def put(place: Any, **values: Any) -> None:
    place.update(values)


ALLOWED, MATERIALIZE, NAMESPACE = "NetworkPolicy/to-delay", "CronJob/features-materialize", "Namespace/wild-box"
DEST = "spec.arguments.parameters.#(name=gone).value"
MONITOR = "monitoring.coreos.com/v1"
BINDINGS = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["rolebindings"], "verbs": ["create"]}
CORPUS: list[tuple[str, Callable[[Documents], Any]]] = [
    # names
    ("name-invalid", lambda d: put(d[DELAY]["metadata"], name="Delay_1")),
    ("name-invalid", lambda d: put(d["Service/delay"]["metadata"], name="9delay")),
    ("name-invalid", lambda d: put(d["CronWorkflow/wideflow"]["metadata"], name="w" * 53)),
    ("name-duplicate", lambda d: put(copied(d, "Service/delay", "other")["metadata"], name="delay")),
    ("namespace-other", lambda d: put(d["Service/delay"]["metadata"], namespace="default")),
    ("namespace-other", lambda d: d[DELAY]["metadata"].pop("namespace")),
    ("namespace-other", lambda d: put(d["PriorityClass/box-batch"]["metadata"], namespace="wild-box")),
    ("label-invalid", lambda d: put(d[DELAY]["metadata"]["labels"], team="a team")),
    ("label-invalid", lambda d: put(d[DELAY]["metadata"]["labels"], **{"-x": "y"})),
    ("label-invalid", lambda d: put(d[DELAY]["metadata"]["labels"], version=1)),
    ("container-name", lambda d: put(main(d), name="Delay")),
    ("container-name", lambda d: pod(d)["containers"].append(dict(main(d)))),
    ("port-name", lambda d: put(main(d)["ports"][0], name="a-very-long-port-name")),
    ("env-name", lambda d: main(d)["env"].append({"name": "1 X", "value": "y"})),
    ("env-duplicate", lambda d: main(d)["env"].append(main(d)["env"][0])),
    ("env-not-text", lambda d: main(d)["env"].append({"name": "N", "value": 1})),
    ("data-key", lambda d: put(d["ConfigMap/feature-store"]["data"], **{"a/b": "c"})),
    ("pod-labels-missing", lambda d: d[MATERIALIZE]["spec"]["jobTemplate"]["spec"]["template"].pop("metadata")),
    # references
    ("reference-account", lambda d: put(pod(d), serviceAccountName="nobody")),
    ("reference-account", lambda d: put(d["RoleBinding/flows"]["subjects"][0], name="nobody")),
    ("reference-config-map", lambda d: d.pop("ConfigMap/feature-store")),
    ("reference-config-map", lambda d: main(d)["env"].append(from_key("configMap", "feature-store", "gone"))),
    ("reference-secret", lambda d: main(d)["env"].append(from_key("secret", "unknown", "x"))),
    ("reference-secret", lambda d: main(d)["env"].append(from_key("secret", "storage", "unknown"))),
    ("reference-secret", lambda d: put(main(d), envFrom=[{"secretRef": {"name": "unknown"}}])),
    ("reference-claim", lambda d: d.pop("PersistentVolumeClaim/data")),
    ("reference-priority-class", lambda d: put(pod(d), priorityClassName="urgent")),
    ("reference-scale-target", lambda d: put(d["HorizontalPodAutoscaler/delay"]["spec"]["scaleTargetRef"], name="x")),
    ("reference-role", lambda d: put(d["RoleBinding/flows"]["roleRef"], name="x")),
    ("reference-service", lambda d: d.pop("Service/tracking")),
    ("reference-service", lambda d: main(d)["env"].append({"name": "U", "value": "http://delay.wild-box.svc:1/"})),
    ("reference-service", lambda d: added(d, "HTTPRoute", "gateway.networking.k8s.io/v1", "x", spec=route("gone", 1))),
    ("volume-undeclared", lambda d: main(d)["volumeMounts"].append({"name": "gone", "mountPath": "/gone"})),
    ("volume-undeclared", lambda d: main(d)["volumeMounts"].append(dict(main(d)["volumeMounts"][0]))),
    ("volume-undeclared", lambda d: gang(d, "- name: work\n", "- name: lost\n")),
    ("probe-port", lambda d: put(main(d)["readinessProbe"]["httpGet"], port="metrics")),
    # selectors
    ("selector-mismatch", lambda d: put(d[DELAY]["spec"]["selector"]["matchLabels"], x="y")),
    ("selector-mismatch", lambda d: d[DELAY]["spec"].pop("selector")),
    ("selector-no-pods", lambda d: put(d["Service/delay"]["spec"]["selector"], x="y")),
    ("selector-no-pods", lambda d: put(d[ALLOWED]["spec"]["podSelector"]["matchLabels"], x="y")),
    ("selector-no-service", lambda d: added(d, "ServiceMonitor", MONITOR, "x", spec=monitor("http", x="y"))),
    ("selector-no-service", lambda d: added(d, "ServiceMonitor", MONITOR, "x", spec=monitor("gone"))),
    ("selector-overlap", lambda d: copied(d, DELAY, "twin")),
    ("service-target-port", lambda d: put(d["Service/delay"]["spec"]["ports"][0], targetPort="web")),
    # resources
    ("resources-request-missing", lambda d: main(d)["resources"]["requests"].pop("cpu")),
    ("resources-request-missing", lambda d: step(d, "work")["container"].pop("resources")),
    ("resources-memory-limit-missing", lambda d: main(d)["resources"].pop("limits")),
    ("resources-quantity-invalid", lambda d: put(main(d)["resources"]["requests"], cpu="1 core")),
    ("resources-quantity-invalid", lambda d: put(main(d)["resources"]["requests"], cpu="-1")),
    ("resources-request-above-limit", lambda d: put(main(d)["resources"]["requests"], memory="900Gi")),
    ("resources-request-above-limit", lambda d: gang(d, 'memory: "700M"', 'memory: "9G"')),
    ("resources-device-request", lambda d: put(main(d, LARGE)["resources"]["limits"], **{"nvidia.com/gpu": "0.5"})),
    ("resources-device-request", lambda d: put(main(d)["resources"]["requests"], **{"nvidia.com/gpu": "1"})),
    ("resources-memory-tiny", lambda d: put(main(d)["resources"]["requests"], memory="512")),
    ("quota-too-small", lambda d: put(d["ResourceQuota/quota"]["spec"]["hard"], **{"requests.nvidia.com/gpu": "0"})),
    ("quota-too-small", lambda d: put(d["ResourceQuota/quota"]["spec"]["hard"], **{"requests.memory": "64Mi"})),
    ("request-not-measured", lambda d: took(d, memory_mib=400.5)),
    ("request-not-measured", lambda d: took(d, cpu=0.9)),
    # scaling and probes
    ("probe-missing", lambda d: main(d).pop("readinessProbe")),
    ("probe-missing", lambda d: main(d).pop("livenessProbe")),
    ("probe-empty", lambda d: main(d)["startupProbe"].pop("httpGet")),
    ("probe-empty", lambda d: put(main(d)["startupProbe"], timeoutSeconds=0)),
    ("server-without-port", lambda d: main(d).pop("ports")),
    ("rollout-deadlock", lambda d: put(d[LARGE]["spec"]["strategy"]["rollingUpdate"], maxSurge=1)),
    ("rollout-deadlock", lambda d: put(d[DELAY]["spec"]["strategy"]["rollingUpdate"], maxSurge=0, maxUnavailable=0)),
    ("grace-too-short", lambda d: put(pod(d), terminationGracePeriodSeconds=5)),
    ("autoscaler-bounds", lambda d: put(d["HorizontalPodAutoscaler/delay"]["spec"], minReplicas=9)),
    ("autoscaler-bounds", lambda d: d["HorizontalPodAutoscaler/delay"]["spec"].pop("metrics")),
    ("autoscaler-against-replicas", lambda d: put(d[DELAY]["spec"], replicas=2)),
    ("autoscaler-without-request", lambda d: main(d)["resources"]["requests"].pop("cpu")),
    ("budget-blocks-drain", lambda d: budget(d, minAvailable=2)),
    ("budget-blocks-drain", lambda d: budget(d, maxUnavailable=0)),
    ("schedule-unsafe", lambda d: put(d[MATERIALIZE]["spec"], concurrencyPolicy="Allow")),
    ("schedule-unsafe", lambda d: d[MATERIALIZE]["spec"]["jobTemplate"]["spec"].pop("activeDeadlineSeconds")),
    # security
    ("security-run-as-root", lambda d: (pod(d).pop("securityContext"), context(d).pop("runAsNonRoot"))),
    ("security-run-as-root", lambda d: put(context(d), runAsUser=0)),
    ("security-run-as-root", lambda d: dropped("securityContext", d[WIDE]["spec"], step(d, "work")["container"])),
    ("security-seccomp", lambda d: put(context(d), seccompProfile={"type": "Unconfined"})),
    ("security-privileges", lambda d: put(context(d), privileged=True)),
    ("security-privileges", lambda d: context(d).pop("allowPrivilegeEscalation")),
    ("security-privileges", lambda d: put(context(d), procMount="Unmasked")),
    ("security-capabilities", lambda d: context(d).pop("capabilities")),
    ("security-capabilities", lambda d: put(context(d)["capabilities"], add=["SYS_ADMIN"])),
    ("security-capabilities", lambda d: gang(d, "- ALL", "- CHOWN")),
    ("security-host", lambda d: put(pod(d), hostNetwork=True)),
    ("security-host", lambda d: put(pod(d)["securityContext"], sysctls=[{"name": "kernel.msgmax", "value": "1"}])),
    ("security-host-port", lambda d: put(main(d)["ports"][0], hostPort=80)),
    ("security-volume", lambda d: pod(d)["volumes"].append({"name": "node", "hostPath": {"path": "/"}})),
    ("security-root-filesystem", lambda d: context(d).pop("readOnlyRootFilesystem")),
    ("security-token", lambda d: dropped("automountServiceAccountToken", pod(d), d["ServiceAccount/delay"])),
    ("security-rights", lambda d: put(d["Role/flows"]["rules"][0], verbs=["*"])),
    ("security-rights", lambda d: put(d["Role/flows"]["rules"][0], resources=["secrets"])),
    ("security-rights", lambda d: d["Role/flows"]["rules"].append(BINDINGS)),
    ("security-rights", lambda d: put(d["RoleBinding/flows"], kind="ClusterRoleBinding")),
    ("security-namespace-open", lambda d: d[NAMESPACE]["metadata"]["labels"].pop("pod-security.kubernetes.io/enforce")),
    ("security-no-default-deny", lambda d: d.pop("NetworkPolicy/default-deny")),
    ("security-no-default-deny", lambda d: put(d["NetworkPolicy/default-deny"]["spec"], egress=[{}])),
    ("network-open", lambda d: d[ALLOWED]["spec"]["ingress"][0].pop("from")),
    ("network-open", lambda d: d[ALLOWED]["spec"]["ingress"][0].pop("ports")),
    ("guard-missing", lambda d: d.pop("ResourceQuota/quota")),
    ("guard-missing", lambda d: d.pop("LimitRange/defaults")),
    ("guard-no-namespace", lambda d: d.pop("Namespace/wild-box")),
    ("secret-in-manifest", lambda d: added(d, "Secret", "v1", "storage", data={})),
    ("service-exposed", lambda d: put(d["Service/delay"]["spec"], type="LoadBalancer")),
    ("service-exposed", lambda d: put(d["Service/delay"]["spec"], externalIPs=["192.0.2.1"])),
    ("network-blocked", lambda d: d.pop("NetworkPolicy/from-delay")),
    ("network-blocked", lambda d: d["NetworkPolicy/to-tracking"]["spec"].pop("ingress")),
    ("network-blocked", lambda d: put(d["NetworkPolicy/to-tracking"]["spec"]["ingress"][0]["ports"][0], port=1)),
    # images
    ("image-invalid", lambda d: put(main(d), image="Delay Image")),
    ("image-latest", lambda d: put(main(d), image="delay:latest")),
    ("image-latest", lambda d: put(step(d, "work")["container"], image="flows")),
    ("image-not-pinned", lambda d: put(main(d), image="delay:1.0")),
    ("image-not-in-lock", lambda d: put(main(d), image=f"delay@sha256:{'0' * 64}")),
    # words
    ("enum-unknown", lambda d: put(main(d), imagePullPolicy="Sometimes")),
    ("enum-unknown", lambda d: put(d["PersistentVolumeClaim/data"]["spec"], accessModes=["ReadWriteAlways"])),
    ("enum-unknown", lambda d: put(d["Role/flows"]["rules"][0], verbs=["write"])),
    ("enum-unknown", lambda d: put(d[DELAY]["spec"]["strategy"], type="Rolling")),
    ("enum-unknown", lambda d: gang(d, "restartPolicy: Never", "restartPolicy: Sometimes")),
    ("toleration-invalid", lambda d: put(pod(d), tolerations=[{"key": "x", "operator": "Is"}])),
    ("toleration-invalid", lambda d: put(pod(d), tolerations=[{"key": "x", "operator": "Exists", "value": "y"}])),
    ("toleration-invalid", lambda d: put(pod(d), tolerations=[{"key": "x", "effect": "NoRun"}])),
    ("null-value", lambda d: put(step(d, "work")["container"], resources=None)),
    # Argo
    ("argo-schedule", lambda d: put(d["CronWorkflow/wideflow"]["spec"], schedule="0 0 * * *")),
    ("argo-schedule", lambda d: put(d["CronWorkflow/wideflow"]["spec"], schedules=["0 0 31 13 *"])),
    ("argo-schedule", lambda d: d["CronWorkflow/wideflow"]["spec"].pop("schedules")),
    ("time-zone-unknown", lambda d: put(d["CronWorkflow/wideflow"]["spec"], timezone="America/Nowhere")),
    ("cron-invalid", lambda d: put(d[MATERIALIZE]["spec"], schedule="hourly")),
    ("argo-template-ref", lambda d: d.pop(WIDE)),
    ("argo-entrypoint", lambda d: put(d[WIDE]["spec"], entrypoint="Nothing")),
    ("argo-entrypoint", lambda d: put(d[WIDE]["spec"], onExit="nothing")),
    ("argo-template", lambda d: d[WIDE]["spec"]["templates"].append(step(d, "work"))),
    ("argo-template", lambda d: step(d, "work").pop("container")),
    ("argo-deadline", lambda d: dropped("activeDeadlineSeconds", d[WIDE]["spec"], step(d, "work"))),
    ("argo-deadline", lambda d: put(step(d, "work")["retryStrategy"], limit=None)),
    ("argo-manifest", lambda d: gang(d, "kind: JobSet", "kind: JobSet\nkind: JobSet")),
    ("argo-manifest", lambda d: gang(d, "kind: JobSet", "kind: [")),
    ("argo-manifest", lambda d: gang(d, "restartPolicy: Never", "restartPolicy: on")),
    ("argo-kept-for-ever", lambda d: d[WIDE]["spec"].pop("ttlStrategy")),
    ("argo-kept-for-ever", lambda d: d[WIDE]["spec"].pop("podGC")),
    ("argo-task-template", lambda d: put(task(d), template="gone")),
    ("argo-dependency", lambda d: put(task(d), depends="gone.Succeeded")),
    ("argo-dependency", lambda d: put(task(d, "gather"), depends="gather.Succeeded")),
    ("argo-depends-result", lambda d: put(task(d), depends="start.Done")),
    ("argo-input-undeclared", lambda d: step(d, "work").pop("inputs")),
    ("argo-input-undeclared", lambda d: step(d, "work")["container"]["command"].append("{{workflow.parameters.gone}}")),
    ("argo-input-missing", lambda d: put(task(d, "end"), arguments={})),
    ("argo-output-unknown", lambda d: step(d, "start").pop("outputs")),
    ("sensor-empty", lambda d: sensor(d).pop("dependencies")),
    ("sensor-dependency", lambda d: put(sensor(d)["dependencies"][0], name="other")),
    ("sensor-parameter", lambda d: put(started(d)["spec"]["arguments"]["parameters"][0], name="gone")),
    ("sensor-parameter", lambda d: put(sensor(d)["triggers"][0]["template"]["k8s"]["parameters"][0], dest=DEST)),
    ("name-invalid", lambda d: put(d["Sensor/boxtest-prod-gangflow"]["metadata"], name="a.b")),
    ("security-privileges", lambda d: sensor(d)["template"]["container"].pop("securityContext")),
    ("security-capabilities", lambda d: bus(d)["reloaderContainerTemplate"].pop("securityContext")),
    ("reference-account", lambda d: put(sensor(d)["template"], serviceAccountName="nobody")),
    ("sensor-trigger", lambda d: put(started(d)["metadata"], namespace="default")),
    ("sensor-trigger", lambda d: sensor(d)["triggers"][0]["template"].pop("k8s")),
    # what must stay here
    ("secret-value", lambda d: main(d)["env"].append({"name": "PARTNER_API_KEY", "value": "hunter2"})),
    ("secret-text", lambda d: main(d)["env"].append({"name": "DB", "value": "postgresql://box:hunter2@db/box"})),
    ("secret-text", lambda d: put(d["ConfigMap/feature-store"]["data"], key="-----BEGIN RSA PRIVATE KEY-----\n")),
    ("secret-text", lambda d: put(d[DELAY]["metadata"], annotations={"x": "AKIAIOSFODNN7EXAMPLE"})),
    ("secret-random", lambda d: main(d)["command"].append("--api-token=9fK2xQ7vLm3RtZ8b")),
    ("machine-path", lambda d: main(d)["command"].append("--data=/home/ann/data")),
    ("machine-path", lambda d: main(d)["env"].append({"name": "STORE", "value": "file:///var/mlruns"})),
    ("machine-address", lambda d: main(d)["env"].append({"name": "U", "value": "http://127.0.0.1:5000"})),
    ("reference-unresolved", lambda d: main(d)["command"].append("${tracking.url}")),
    ("reference-unresolved", lambda d: put(d[WIDE]["metadata"]["annotations"], t="__PLACEHOLDER_PRODUCTION_TOKEN__")),
]  # fmt: skip


def from_key(kind: str, name: str, key: str) -> Any:
    return {"name": "PLANTED", "valueFrom": {f"{kind}KeyRef": {"name": name, "key": key}}}


def route(service: str, port: int) -> Any:
    return {"rules": [{"backendRefs": [{"name": service, "port": port}]}]}


def monitor(port: str, **labels: str) -> Any:
    wanted = labels or {"app.kubernetes.io/component": "delay"}
    return {"selector": {"matchLabels": wanted}, "endpoints": [{"port": port}]}


def budget(documents: Documents, **spec: Any) -> None:
    made = documents["PodDisruptionBudget/delay"]["spec"]
    made.pop("maxUnavailable")
    made.update(spec)


def sensor(documents: Documents) -> Any:
    return next(one for title, one in documents.items() if title.startswith("Sensor/"))["spec"]


def started(documents: Documents) -> Any:
    return sensor(documents)["triggers"][0]["template"]["k8s"]["source"]["resource"]


def bus(documents: Documents) -> Any:
    return next(one for title, one in documents.items() if title.startswith("EventBus/"))["spec"]["jetstream"]


def took(documents: Documents, **peak: float) -> None:
    """A lock that says what a step took, which asks for what it declares."""
    documents["lock"] = {"inputs": {"margin": 0.2, "measured": {"WideFlow": {"work": {**peak, "runs": 3}}}}}


def names(manifests: Manifests, rule: str) -> list[str]:
    """Where one rule is broken."""
    (one,) = [one for one in RULES if one.name == rule]
    if one.whole is not None:
        return [manifest.title for manifest, _, _ in one.whole(manifests)]
    assert one.document is not None
    return [manifest.title for manifest in manifests.all for _ in one.document(manifest)]


@pytest.mark.parametrize(("rule", "change"), CORPUS, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(CORPUS)])
def test_a_planted_fault_is_rejected_by_the_name_of_its_rule(planted: Any, rule: str, change: Any) -> None:
    assert names(planted(change), rule)


def test_without_a_fault_nothing_is_rejected(planted: Any) -> None:
    assert broken(planted(lambda documents: None)) == []


def test_a_request_of_the_peak_and_the_margin_is_as_measured(planted: Any) -> None:
    def right(documents: Documents) -> None:
        took(documents, memory_mib=400.5, cpu=1.0)
        step(documents, "work")["container"]["resources"]["requests"].update(memory="481Mi", cpu="1200m")

    assert names(planted(right), "request-not-measured") == []


def test_every_rule_has_a_fault_in_the_corpus() -> None:
    assert {rule.name for rule in RULES} == {rule for rule, _ in CORPUS}
    assert len(CORPUS) > 100 and len(ABOUT) > len(RULES)


SCHEMATIC: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("schema", DELAY, lambda d: put(d["spec"], replica=2)),
    ("schema", DELAY, lambda d: put(d["spec"], revisionHistoryLimit="five")),
    ("schema", "HorizontalPodAutoscaler/delay", lambda d: d["spec"].pop("maxReplicas")),
    ("schema", "NetworkPolicy/to-delay", lambda d: put(d["spec"]["ingress"][0]["ports"][0], protocols="TCP")),
    ("kind-unknown", DELAY, lambda d: put(d, apiVersion="extensions/v1beta1")),
    ("kind-unknown", DELAY, lambda d: put(d, kind="Deploymnet")),
    ("schema", GANG, lambda d: gang({GANG: d}, "terminationMessagePolicy", "terminationPolicy")),
    ("field-unknown", GANG, lambda d: gang({GANG: d}, "replicatedJobs:", "pods: []\n  replicatedJobs:")),
    ("argo-model", WIDE, lambda d: put(d["spec"]["templates"][0], name=7)),
    ("argo-model", "CronWorkflow/wideflow", lambda d: d["spec"].pop("schedules")),
    ("argo-field-dropped", WIDE, lambda d: put(d["spec"], activeDeadlineSecond=5)),
    ("argo-field-dropped", WIDE, lambda d: put(step({WIDE: d}, "work")["container"], bindMountOptions={"x": 1})),
]


@pytest.mark.parametrize(("rule", "title", "change"), SCHEMATIC, ids=[f"{r}-{t}" for r, t, _ in SCHEMATIC])
def test_what_a_schema_refuses_is_rejected_by_name(folder: Folder, rule: str, title: str, change: Any) -> None:
    (found,) = [one for one in folder.overlays["prod"].all if one.title == title]
    document = copy.deepcopy(found.document)
    assert list(schemas.faults([Manifest(document)])) == []
    change(document)
    assert rule in {fault.rule for fault in schemas.faults([Manifest(document)])}


SHAPES: list[tuple[str, str, Any]] = [
    ("field-unknown", "HTTPRoute", {"rules": [{"backendRef": []}]}),
    ("field-missing", "HTTPRoute", {"rules": [{"backendRefs": [{"port": 1}]}]}),
    ("field-type", "HTTPRoute", {"rules": [{"backendRefs": [{"name": "x", "weight": "9"}]}]}),
    ("field-unknown", "Sensor", {"dependencies": [], "triggers": [], "dependancies": []}),
    ("field-missing", "Sensor", {"dependencies": [{"name": "x", "eventSourceName": "y"}], "triggers": []}),
    ("field-missing", "ServiceMonitor", {"endpoints": []}),
    ("field-unknown", "PrometheusRule", {"groups": [{"name": "x", "rules": [{"expr": "1", "fore": "1m"}]}]}),
    ("kind-unknown", "JobSet", {}),
]


@pytest.mark.parametrize(("rule", "kind", "spec"), SHAPES)
def test_a_wrong_field_of_a_foreign_kind_is_rejected(rule: str, kind: str, spec: Any) -> None:
    versions = {
        "HTTPRoute": "gateway.networking.k8s.io/v1",
        "JobSet": "jobset.x-k8s.io/v1",
        "Sensor": "argoproj.io/v1alpha1",
    }
    version = versions.get(kind, "monitoring.coreos.com/v1")
    made = Manifest({"apiVersion": version, "kind": kind, "metadata": {"name": "x"}, "spec": spec})
    assert rule in {fault.rule for fault in schemas.faults([made])}
