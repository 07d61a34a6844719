"""Layers: what our own Python builds is what the real `kubectl kustomize` prints, in the same order."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.export_config import OverlayConfig
from boxplat.core.model import File
from boxplat.export import Export, ExportInput, document, kustomize, render, write
from boxplat.export.manifests import documents

pytestmark = pytest.mark.integration
needs_kubectl = pytest.mark.skipif(which("kubectl") is None, reason="kustomize comes with kubectl")
PROD = OverlayConfig(
    replicas={"tracking": 2, "delay": 3, "web": 1},
    max_replicas=9,
    quota={"pods": "500", "count/jobs.batch": "50"},
    storage="s3://prod/deep",
)
EVERYTHING = ("argo-events", "gateway", "monitoring", "offline-s3", "spot")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["n", "on", "1e3", "0o17", "a b", "~", "é", ""]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "x/y", "q~1", "n"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def kubectl(folder: Path) -> list[Any]:
    command = ["kubectl", "kustomize", str(folder)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    return list(yaml.safe_load_all(child.stdout))


def put(files: list[File], folder: Path) -> None:
    for file in files:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
        (folder / file.path).write_text(file.text)


def exact(value: Any) -> str:
    """Text that tells 1 from true and from 1.0, and keeps lists in order but not keys."""
    return json.dumps(value, sort_keys=True)


def config_map(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "ns"}, **more}


@pytest.fixture(scope="module")
def varied(gathered: ExportInput) -> Export:
    parts = {"all": EVERYTHING, "spark": ("offline-spark",)}
    overlays = {name: OverlayConfig(components=components) for name, components in parts.items()}
    return render(replace(gathered, overlays={"dev": OverlayConfig(), "prod": PROD, **overlays}))


@needs_kubectl
@pytest.mark.parametrize("overlay", ["dev", "prod", "all", "spark"])
def test_every_overlay_is_rendered_as_kustomize_does(varied: Export, overlay: str, tmp_path: Path) -> None:
    write(varied, tmp_path / "out")
    ours = list(yaml.safe_load_all((tmp_path / "out" / "rendered" / f"{overlay}.yaml").read_text()))
    assert [exact(entry) for entry in kubectl(tmp_path / "out" / "overlays" / overlay)] == [exact(e) for e in ours]


def test_an_overlay_is_the_project_under_its_own_policy(varied: Export) -> None:
    files = {file.path: file.text for file in varied.files}
    there = {
        f"{entry['kind']}/{entry['metadata']['name']}": entry
        for entry in yaml.safe_load_all(files["rendered/prod.yaml"])
    }
    assert there["Deployment/tracking"]["spec"]["replicas"] == 2
    hard = there["ResourceQuota/quota"]["spec"]["hard"]
    assert (hard["pods"], hard["count/jobs.batch"]) == ("500", "50")
    assert (
        "s3://boxplat-" not in files["rendered/prod.yaml"] and "s3://prod/deep/metaflow/" in files["rendered/prod.yaml"]
    )
    assert {entry["metadata"]["labels"]["boxplat/overlay"] for entry in there.values()} == {"prod"}
    assert "s3://boxplat-wild-box/metaflow" in files["rendered/dev.yaml"]
    assert not [path for path in files if path.startswith("overlays/dev/patch")]


def test_features_are_published_and_read_in_the_storage_where_that_is_chosen(varied: Export) -> None:
    files = {file.path: file.text for file in varied.files}
    made = {
        overlay: {f"{entry['kind']}/{entry['metadata']['name']}": entry for entry in yaml.safe_load_all(text)}
        for overlay, text in ((name, files[f"rendered/{name}.yaml"]) for name in ("dev", "all", "spark"))
    }
    jobs = {overlay: [title for title in found if title.startswith("Job/")] for overlay, found in made.items()}
    # A Job cannot be changed: another offline store makes another one.
    assert all(len(found) == 1 for found in jobs.values()) and len({found[0] for found in jobs.values()}) == 3
    pod = made["all"][jobs["all"][0]]["spec"]["template"]["spec"]
    assert [one["command"][-1] for one in (*pod["initContainers"], *pod["containers"])] == ["fetch", "publish", "apply"]
    assert {"name": "BOXPLAT_OFFLINE", "value": "s3://boxplat-wild-box/data"} in pod["containers"][0]["env"]
    store = yaml.safe_load(made["spark"]["ConfigMap/feature-store"]["data"]["feature_store.yaml"])
    assert store["offline_store"]["type"] == "spark" and store["registry"]["registry_type"] == "sql"
    server = made["dev"]["Service/features"]["spec"]["selector"]
    labels = made["dev"][jobs["dev"][0]]["spec"]["template"]["metadata"]["labels"]
    assert not server.items() <= labels.items(), "requests would go to the job's pod"


@pytest.mark.parametrize(
    "overlay",
    [
        OverlayConfig(components=("gppu",)),
        OverlayConfig(components=("offline-s3", "offline-spark")),
        OverlayConfig(replicas={"dellay": 2}),
        OverlayConfig(hosts={"x": "y"}),
    ],
)
def test_an_overlay_cannot_name_what_there_is_not(gathered: ExportInput, overlay: OverlayConfig) -> None:
    with pytest.raises(BoxError, match=r"overlays\.prod") as caught:
        render(replace(gathered, overlays={"prod": overlay}))
    assert caught.value.code is ExitCode.USAGE


def test_a_component_with_nothing_in_it_is_left_out(gathered: ExportInput) -> None:
    """As before the first release: Kustomize refuses an empty folder."""
    overlay = OverlayConfig(components=("gateway", "monitoring"), hosts={"tracking": "mlflow.test"})
    services = tuple(service for service in gathered.services if service.kind != "endpoint" and service.name != "web")
    made = render(replace(gathered, services=services, overlays={"prod": overlay}))
    files = {file.path: file.text for file in made.files}
    assert not [path for path in files if path.startswith("components/gateway/")]
    assert "components/gateway" not in files["overlays/prod/kustomization.yaml"]
    assert "mlflow.test" in files["rendered/prod.yaml"]


def test_features_are_materialized_by_flows_unless_a_time_is_set(gathered: ExportInput) -> None:
    for schedule, suspended in (("", True), ("5 4 * * *", False)):
        made = documents(replace(gathered, policy=replace(gathered.policy, materialize=schedule)))
        (cron,) = [entry for entry in made if entry["kind"] == "CronJob"]
        assert cron["spec"]["suspend"] is suspended and cron["spec"]["schedule"] == (schedule or "17 * * * *")


@given(before=VALUES, after=VALUES)
@settings(max_examples=200, deadline=None)
def test_changes_lead_from_any_document_to_any_other(before: Any, after: Any) -> None:
    old, new = config_map("one", data=before), config_map("one", data=after)
    layer = kustomize.changes([old], [new])
    assert [exact(entry) for entry in kustomize.build([old], [], layer)] == [exact(new)]
    assert exact(old) == exact(config_map("one", data=before))


def test_two_components_that_make_the_same_key_are_noticed() -> None:
    old = config_map("one")
    layers = [kustomize.changes([old], [config_map("one", data={"a": value})]) for value in "xy"]
    with pytest.raises(ValueError, match="/data"):
        kustomize.build([old], layers, kustomize.Layer())


@needs_kubectl
def test_kustomize_understands_every_kind_of_change(tmp_path: Path) -> None:
    """Keys to escape, names that are patterns, scalars that YAML 1.1 misreads, removal, components with resources."""
    base = [
        config_map("a.b", data={"x/y": "1e3", "q~1": "n", "gone": "z"}, items=[1, 2, 3], more=[True]),
        config_map("a-b", data={"x/y": "keep"}),
        config_map("dead"),
    ]
    part = kustomize.changes(
        base, [config_map("a.b", data={"x/y": "on", "q~1": "n"}, items=[1], more=[True]), *base[1:], config_map("n")]
    )
    grown = config_map("a.b", data={"x/y": "0o17", "q~1": "null"}, items=[1], more=[1, "no"])
    after = [grown, base[1], config_map("n"), config_map("new", n={"y": "1_0"})]
    over = kustomize.changes(kustomize.build(base, [part], kustomize.Layer()), after)
    over = replace(over, labels={"boxplat/overlay": "on"})
    put([File(f"base/{kustomize.file_name(e)}", document.dump(e)) for e in base], tmp_path)
    put([kustomize.kustomization("base", [kustomize.file_name(e) for e in base])], tmp_path)
    put(kustomize.files("components/part", part, (), None), tmp_path)
    put(kustomize.files("overlays/x", over, ["../../base"], ["../../components/part"]), tmp_path)
    ours = kustomize.build(base, [part], over)
    assert [exact(entry) for entry in kubectl(tmp_path / "overlays" / "x")] == [exact(entry) for entry in ours]
