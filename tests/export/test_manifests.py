"""A whole export, compiled by Metaflow: valid, closed, the same twice, and saying what runs locally."""

from __future__ import annotations

import configparser
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hera.workflows import models

from boxplat.adapters import tracking_on_cluster
from boxplat.core.compute import ComputeConfig
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import OverlayConfig
from boxplat.core.model import Service
from boxplat.core.paths import Paths
from boxplat.declarations import services
from boxplat.export import Export, ExportInput, gather, render
from boxplat.export.model import LOCK

pytestmark = pytest.mark.integration
Documents = Mapping[str, Any]
# Folders and switches of a local run that a pod has no use for.
LOCAL_ONLY = {
    "BOXPLAT_BOX", "BENTOML_HOME", "METAFLOW_HOME", "METAFLOW_DATASTORE_SYSROOT_LOCAL", "METAFLOW_CARD_LOCALROOT",
    "METAFLOW_CLIENT_CACHE_PATH", "NO_PROXY", "no_proxy",
    "METAFLOW_DEFAULT_DATASTORE", "METAFLOW_DEFAULT_METADATA",
    # The ledger is of one machine.
    *ComputeConfig().environment(),
}  # fmt: skip
CLUSTER_ONLY = {
    "HOME", "BOXPLAT_CORES", "FEAST_FS_YAML_FILE_PATH", "FEAST_REGISTRY_URL", "FEAST_ONLINE_STORE",
    "MLFLOW_AUTH_CONFIG_PATH", "MLFLOW_FLASK_SERVER_SECRET_KEY", "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED",
    "prometheus_multiproc_dir", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
}  # fmt: skip


def _env(container: Mapping[str, Any]) -> dict[str, Any]:
    return {entry["name"]: entry.get("value", entry.get("valueFrom")) for entry in container["env"]}


def _main(document: Mapping[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = document["spec"]["template"]["spec"]["containers"][0]
    return container


def _steps(template: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in template["spec"]["templates"]}


# All versions are those of `box export --check`; this is the package's own reading of them.
@pytest.mark.parametrize("version", ["1.37"])
def test_kubernetes_takes_every_field(documents: Documents, version: str) -> None:
    plain = [entry for entry in documents.values() if not entry["apiVersion"].startswith("argoproj.io")]
    assert len(plain) > 25
    for entry in plain:
        kubernetes_validate.validate(entry, version, strict=True)


def test_argo_takes_every_field(documents: Documents) -> None:
    # Hera has no models of Argo Events.
    argo = [entry for entry in documents.values() if entry["kind"] in ("WorkflowTemplate", "CronWorkflow")]
    assert len(argo) == 4
    for entry in argo:
        model = getattr(models, entry["kind"]).model_validate(entry)
        back = json.loads(model.model_dump_json(by_alias=True, exclude_none=True))
        assert list(_dropped(entry, back)) == []


def _dropped(given: Any, back: Any, path: str = "") -> Any:
    if isinstance(given, Mapping):
        for key, value in given.items():
            if key in back:
                yield from _dropped(value, back[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}"
    elif isinstance(given, list):
        for index, (old, new) in enumerate(zip(given, back, strict=True)):
            yield from _dropped(old, new, f"{path}[{index}]")


def test_a_second_export_has_the_same_bytes(
    export: Export, exported_paths: Paths, exported_config: Config, declared: list[Service], tmp_path: Path
) -> None:
    """From a copy of the project elsewhere, by another user, in another order: only the content counts."""
    copy = tmp_path / "elsewhere"
    for path in sorted(exported_paths.root.rglob("*"), reverse=True):
        kept = ".box" not in path.parts or "bentos" in path.parts
        if path.is_file() and kept and "__pycache__" not in path.parts:
            target = copy / path.relative_to(exported_paths.root)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
            os.chmod(target, 0o600)
    moved = [
        Service.from_dict(json.loads(json.dumps(s.as_dict()).replace(str(exported_paths.root), str(copy))))
        for s in declared
    ]
    again = render(gather(Paths(copy), exported_config, moved[::-1], overlay="prod"))
    assert dict(again.packages) == dict(export.packages)
    texts = {file.path: file.text for file in export.files}
    assert {file.path: file.text for file in again.files} == texts


def test_the_lock_names_every_file_by_its_content(export: Export) -> None:
    contents = {file.path: file.text.encode() for file in export.files} | dict(export.packages)
    lock = json.loads(contents.pop(LOCK))
    assert lock["files"] == {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}


def test_nothing_of_this_machine_is_in_it(export: Export, exported_paths: Paths) -> None:
    texts = [file.text for file in export.files]
    words = [str(exported_paths.root), str(Path(__file__).parents[2]), "127.0.0.1", "${", "__PLACEHOLDER", 'timestamp"']
    for word in words:
        found = [text for text in texts if word in text]
        # Feast, the shell, Grafana and Docker expand these themselves.
        expanded = ("FEAST_REGISTRY_URL}", "METAFLOW_INIT_SCRIPT", "gridPos", "FROM ${BASE}")
        assert [text for text in found if not any(own in text for own in expanded)] == []


def test_packages_hold_the_flows_and_not_the_compilers_extension(export: Export) -> None:
    (path,) = [path for path in export.packages if path.startswith("code/WideFlow/")]
    blob = export.packages[path]
    assert hashlib.sha1(blob).hexdigest() == Path(path).name
    with tarfile.open(fileobj=io.BytesIO(blob)) as archive:
        names = archive.getnames()
        info = json.loads(archive.extractfile(".mf_meta/INFO").read())  # type: ignore[union-attr]
        owners = {(member.uid, member.uname, member.mtime) for member in archive.getmembers()}
    assert {"wide.py", "helpers.py", ".mf_code/metaflow/__init__.py", ".mf_install"} <= set(names)
    assert not [name for name in names if "boxplat_offline" in name]
    assert info["ext_info"][0] == {} and len(owners) == 1


def test_steps_ask_for_what_they_declare(documents: Documents) -> None:
    steps = _steps(documents["WorkflowTemplate/wideflow"])
    asked = {name: step["container"]["resources"] for name, step in steps.items() if "container" in step}
    assert asked["work"]["requests"] == {"cpu": "0.5", "memory": "512M", "ephemeral-storage": "1024M"}
    assert asked["left"]["requests"]["memory"] == "3000M" and asked["left"]["requests"]["cpu"] == "2"
    assert asked["left"]["limits"] == {"memory": "3000M", "nvidia.com/gpu": "1"}
    assert asked["join"]["requests"]["memory"] == "1024M"


def test_decorators_arrive(documents: Documents) -> None:
    steps = _steps(documents["WorkflowTemplate/wideflow"])
    assert steps["work"]["retryStrategy"]["limit"] == 4
    assert steps["left"]["activeDeadlineSeconds"] == 600
    assert _env(steps["left"]["container"])["MODE"] == "on"
    cron = documents["CronWorkflow/wideflow"]["spec"]
    assert cron["schedules"] == ["30 3 * * *"] and cron["timezone"] == "America/New_York" and "schedule" not in cron


def test_parameters_that_yaml_misreads_stay_texts(documents: Documents) -> None:
    parameters = documents["WorkflowTemplate/linearflow"]["spec"]["arguments"]["parameters"]
    assert [(entry["name"], entry["value"]) for entry in parameters] == [("n", '"1e3"'), ("y", "0.5")]


def test_a_parallel_step_is_a_restricted_jobset_with_a_meeting_point(documents: Documents) -> None:
    text = _steps(documents["WorkflowTemplate/boxtest.prod.gangflow"])["train"]["resource"]["manifest"]
    assert "replicas: {{=asInt(inputs.parameters.workerCount)}}" in text
    jobset = yaml.safe_load(text.replace("{{=asInt(inputs.parameters.workerCount)}}", "1"))
    for job in jobset["spec"]["replicatedJobs"]:
        container = job["template"]["spec"]["template"]["spec"]["containers"][0]
        assert container["resources"]["limits"] == {"memory": "700M"}
        assert _env(container)["MF_MASTER_PORT"] == "29500"
    assert documents["Role/flows"]["rules"][1]["resources"] == ["jobsets"]


def test_what_is_not_carried_is_said(gathered: ExportInput) -> None:
    made = {file.path: file.text for file in render(replace(gathered, undeployed=("fraud",))).files}
    gaps = [(gap["of"], gap["what"]) for gap in json.loads(made[LOCK])["not_carried"]]
    assert gaps == [("fraud", "endpoint")]
    assert "box deploy fraud" in made["README.md"]


def test_services_have_the_variables_of_the_local_run(documents: Documents, declared: list[Service]) -> None:
    for service in declared:
        env = _env(_main(documents[f"Deployment/{service.name}"]))
        assert set(service.env) <= set(env) <= set(service.env) | CLUSTER_ONLY


def test_flows_have_the_variables_of_the_local_run(
    documents: Documents, exported_paths: Paths, exported_config: Config
) -> None:
    local = set(child_environment(exported_paths, exported_config, "http://here")) - set(os.environ)
    step = _steps(documents["WorkflowTemplate/linearflow"])["start"]["container"]
    missing = local - set(_env(step)) - LOCAL_ONLY
    assert not missing
    assert _env(step)["MLFLOW_TRACKING_URI"] == "http://tracking.wild-box.svc:5000"


def test_references_lead_to_services(documents: Documents) -> None:
    assert _env(_main(documents["Deployment/delay"]))["MLFLOW_TRACKING_URI"] == "http://tracking.wild-box.svc:5000"
    assert _env(_main(documents["Deployment/web"]))["API"] == "http://delay.wild-box.svc:3000/v1"
    assert _main(documents["Deployment/web"])["command"] == ["serve", "/app/site"]
    assert documents["Service/tracking"]["spec"]["ports"][0]["port"] == 5000


@pytest.mark.parametrize(
    ("name", "port", "server"), [("delay", "3000", ["boxplat.serving.worker"]), ("large", "3001", ["bentoml", "serve"])]
)
def test_endpoints_listen_on_their_pods_address(documents: Documents, name: str, port: str, server: list[str]) -> None:
    serve = ["python", "-m", *server, "/app/bento", "--host", "0.0.0.0", "--port", port]
    assert _main(documents[f"Deployment/{name}"])["command"][: len(serve)] == serve


def test_no_secret_has_a_value(documents: Documents) -> None:
    assert not [title for title in documents if title.startswith("Secret/")]
    env = _env(_main(documents["Deployment/tracking"]))
    assert env["_MLFLOW_SERVER_FILE_STORE"] == {"secretKeyRef": {"name": "database", "key": "tracking-url"}}
    assert "sqlite" not in json.dumps(documents["Deployment/tracking"])


def test_a_value_that_looks_secret_stays_out_and_its_key_is_asked_for(gathered: ExportInput) -> None:
    endpoint = next(service for service in gathered.services if service.kind == "endpoint")
    changed = replace(endpoint, env={**endpoint.env, "PARTNER_API_KEY": "hunter2", "MODE": "fast"})
    services = tuple(changed if service is endpoint else service for service in gathered.services)
    files = {file.path: file.text for file in render(replace(gathered, services=services)).files}
    assert not [path for path, text in files.items() if "hunter2" in text]
    lock = json.loads(files["export.lock.json"])
    assert lock["secrets"][endpoint.name] == ["PARTNER_API_KEY"] and "PARTNER_API_KEY" in files["README.md"]
    pod = files[f"base/{endpoint.name}/deployment-{endpoint.name}.yaml"]
    assert "secretKeyRef" in pod and "fast" in pod


def test_tracking_is_called_only_by_its_names(documents: Documents) -> None:
    hosts = _env(_main(documents["Deployment/tracking"]))["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert "tracking.wild-box.svc:5000" in hosts and "*" not in hosts


def test_nobody_gets_to_tracking_without_a_password(documents: Documents) -> None:
    server = documents["Deployment/tracking"]["spec"]["template"]["spec"]
    (schema,) = server["initContainers"]
    assert "mlflow.server.auth:create_app" in _main(documents["Deployment/tracking"])["command"]
    first = {name: value for name, value in _env(schema).items() if isinstance(value, dict)}
    assert first["MLFLOW_AUTH_ADMIN_PASSWORD"]["secretKeyRef"] == {"name": "tracking-auth", "key": "admin-password"}
    assert "MLFLOW_AUTH_ADMIN_PASSWORD" not in _env(_main(documents["Deployment/tracking"]))
    step = _steps(documents["WorkflowTemplate/linearflow"])["start"]["container"]
    assert _env(step)["MLFLOW_TRACKING_PASSWORD"]["secretKeyRef"] == {"name": "tracking-user", "key": "password"}


def test_the_settings_of_tracking_are_prepared_from_secrets(tmp_path: Path) -> None:
    """A database's address may hold what the reader of the settings takes for a reference."""
    address, settings = "postgresql://box:p%40ss%%w@db/mlflow", tmp_path / "login" / "basic_auth.ini"
    tracking_on_cluster.configure(address, settings)
    read = configparser.ConfigParser()
    read.read(settings)
    assert read["mlflow"]["database_uri"] == address and settings.stat().st_mode & 0o077 == 0


def test_rollouts_budgets_and_scaling_cannot_deadlock(documents: Documents) -> None:
    def surge(name: str) -> tuple[int, int]:
        update = documents[f"Deployment/{name}"]["spec"]["strategy"]["rollingUpdate"]
        return update["maxSurge"], update["maxUnavailable"]

    assert surge("large") == (0, 1) and surge("delay") == (1, 0)
    budgets = {title: entry for title, entry in documents.items() if title.startswith("PodDisruptionBudget/")}
    assert set(budgets) == {"PodDisruptionBudget/delay", "PodDisruptionBudget/large"}
    assert {entry["spec"]["maxUnavailable"] for entry in budgets.values()} == {1}
    scaled = {title for title in documents if title.startswith("HorizontalPodAutoscaler/")}
    assert scaled == {"HorizontalPodAutoscaler/delay"}
    assert "replicas" not in documents["Deployment/delay"]["spec"]
    assert documents["HorizontalPodAutoscaler/delay"]["spec"]["minReplicas"] == 2


def test_the_namespace_is_closed(documents: Documents) -> None:
    labels = documents["Namespace/wild-box"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    deny = documents["NetworkPolicy/default-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    callers = documents["NetworkPolicy/to-tracking"]["spec"]["ingress"]
    names = [rule["from"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] for rule in callers]
    assert names == ["delay", "flows"]
    hard = documents["ResourceQuota/quota"]["spec"]["hard"]
    assert {"requests.cpu", "requests.memory", "limits.memory"} <= set(hard)
    accounts = [entry for title, entry in documents.items() if title.startswith("ServiceAccount/")]
    assert [a["metadata"]["name"] for a in accounts if a["automountServiceAccountToken"]] == ["flow-triggers", "flows"]


def test_features_keep_the_projects_offline_store(documents: Documents) -> None:
    store = yaml.safe_load(documents["ConfigMap/feature-store"]["data"]["feature_store.yaml"])
    assert store["offline_store"] == {"type": "duckdb"} and store["project"] == "wild"
    assert (store["registry"]["registry_type"], store["online_store"]["type"]) == ("sql", "redis")
    assert documents["CronJob/features-materialize"]["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_boxs_own_feature_server_and_engine_stay_at_home(
    exported_paths: Paths, exported_config: Config, tmp_path: Path
) -> None:
    """The cluster has Feast's server under the same name, and a store that the box's engine cannot load."""
    paths = Paths(tmp_path)
    repo = paths.root / exported_config.features.repo
    repo.mkdir()
    store = (exported_paths.root / exported_config.features.repo / "feature_store.yaml").read_text()
    own = store.replace("type: sqlite", "type: boxplat.features.BoxOnlineStore")
    (repo / "feature_store.yaml").write_text(own + "batch_engine: {type: boxplat.features.BoxComputeEngine}\n")
    declared = services(exported_config, paths)
    assert [service.name for service in declared] == ["tracking", "features"]
    texts = {file.path: file.text for file in render(gather(paths, exported_config, declared)).files}
    assert "feast" in texts["base/features/deployment-features.yaml"]
    assert (
        "Box" not in yaml.safe_load(texts["base/features/configmap-feature-store.yaml"])["data"]["feature_store.yaml"]
    )


def test_kustomizations_list_exactly_the_files(export: Export) -> None:
    paths = {file.path for file in export.files}
    listed: set[str] = set()
    for file in export.files:
        if file.path.endswith("kustomization.yaml") and not file.path.startswith("components/"):
            folder = Path(file.path).parent
            for name in yaml.safe_load(file.text)["resources"]:
                target = os.path.normpath(folder / name)
                listed.add(target if target in paths else f"{target}/kustomization.yaml")
    assert listed == {path for path in paths if path.endswith(".yaml") and path.startswith("base/")}


@pytest.mark.parametrize("overlay", ["Prod", "../x", "a_b", ""])
def test_an_impossible_overlay_is_refused(gathered: ExportInput, overlay: str) -> None:
    with pytest.raises(BoxError, match="overlay") as caught:
        render(replace(gathered, overlays={overlay: OverlayConfig()}))
    assert caught.value.code == ExitCode.USAGE


@pytest.mark.parametrize("name", ["flows", "features", "Delay", "a_b", "delay"])
def test_a_name_that_would_clash_is_refused(gathered: ExportInput, name: str) -> None:
    more = (*gathered.services, Service(name=name, command=("true",)))
    with pytest.raises(BoxError, match=re.escape(name)):
        render(replace(gathered, services=more))


def test_images_may_be_given_by_digest(gathered: ExportInput) -> None:
    image = f"images.test/delay@sha256:{'0' * 64}"
    policy = replace(gathered.policy, images={**gathered.policy.images, "delay": image})
    made = {file.path: file.text for file in render(replace(gathered, policy=policy)).files}
    assert image in made["base/delay/deployment-delay.yaml"]


def test_a_flow_that_metaflow_refuses_is_named(exported_config: Config, tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    body = "    @step\n    def start(self):\n        self.next(self.end)\n"
    head = "from metaflow import FlowSpec, step\nclass Bad(FlowSpec):\n"
    (tmp_path / "flows" / "bad.py").write_text(f"{head}{body}if __name__ == '__main__':\n    Bad()\n")
    with pytest.raises(BoxError, match=r"bad\.py") as caught:
        gather(Paths(tmp_path), exported_config, [])
    assert "end" in caught.value.why
