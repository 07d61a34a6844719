"""What is known of registered models without asking a server; what the server itself says is the oracle."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from boxplat.adapters.tracking_api import TrackingApi
from boxplat.box import Box
from boxplat.core.config import Config, EndpointConfig
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.model import ModelVersion
from boxplat.core.registry import Alias, Serving
from boxplat.releases.models import tracking_url
from boxplat.releases.standing import Standings
from tests.conftest import run_box

GATES = [
    {"gate": "metric", "passed": False, "rule": "surely above 0", "found": "auc 0.69: worse", "champion": "0.77"},
    {"gate": "size", "passed": True, "rule": "at most 10 MiB", "found": "0.67 MiB", "champion": ""},
    {"gate": "slice", "passed": None, "rule": "-", "found": "too few rows", "champion": ""},
]
EVIDENCE = {
    "schema_version": 1,
    "backend": "onnxruntime",
    "results": [
        {"backend": "eager", "verdict": "accepted", "ratio": 1.0, "microseconds": {"1": 90.0}},
        {"backend": "onnxruntime", "verdict": "chosen", "ratio": 0.4, "microseconds": {"1": 36.0}, "difference": 1e-7},
    ],
}


def registered(api: TrackingApi, tags: dict[str, str]) -> str:
    """Another version of the model `standing`; the run that it came from."""
    made = api.create(api.experiment("standing"), "train", 1e9, {})["info"]
    api.log(
        made["run_id"],
        metrics=[
            ("auc", 0.75, 1e9, 0),
            ("loss", float("nan"), 1e9, 0),
            ("step.a.seconds", 1, 1, 0),
            ("boxplat.cost", 1, 1, 0),
        ],
    )
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    source = f"{made['artifact_uri']}/m"
    api._post("model-versions/create", name="standing", source=source, run_id=made["run_id"], tags=pairs)
    return str(made["run_id"])


def facts(version: ModelVersion) -> tuple[object, ...]:
    return (version.version, version.aliases, version.source_run_id, version.created)


@pytest.mark.integration
def test_the_database_says_what_the_server_says_and_the_record_adds_the_rest(live_box: Path) -> None:
    box = Box(live_box, by="me/cli")
    api = TrackingApi(tracking_url(box.state))
    api._post("registered-models/create", name="standing")
    runs = [registered(api, {"boxplat.backend.evidence": json.dumps(EVIDENCE), "kind": "first"})]
    runs += [registered(api, {}), registered(api, {})]
    api.set_alias("standing", "champion", "1")
    api._request("DELETE", "/api/2.0/mlflow/model-versions/delete", b'{"name": "standing", "version": "3"}')
    run = box.state.runs.add("flows/train.py", "TrainFlow", {}, {}, "me/cli")
    box.state.runs.update(run.id, tracking_run_id=runs[0])
    with box.state.database.write() as tx:
        refused = {
            "alias": "champion",
            "version": 2,
            "former": 1,
            "gates": GATES,
            "evidence": {"champion": 1, "rows": 9},
        }
        box.state.record.append(tx, "model/standing", "model.refused", "me/cli", refused)
    settings = Config(endpoints={"shown": EndpointConfig(model="standing")})
    standings = Standings(box.state, box.paths, settings)

    found = standings.of("standing")

    told = box.models.show("standing")
    own = [one.version for one in found.versions]
    assert [facts(one) for one in own] == [facts(one) for one in told]
    second, first = found.versions
    assert (first.run, second.run, first.backend, second.backend) == (run.id, None, "onnxruntime", "")
    assert first.version.tags == {"kind": "first"} and set(first.version.metrics) == {"auc", "loss"}
    assert first.version.metrics["auc"] == 0.75 and first.version.metrics["loss"] != first.version.metrics["loss"]
    assert second.judged is not None and not second.judged.moved and second.judged.champion == 1
    assert [gate.outcome for gate in second.judged.gates] == ["refused", "passed", "not judged"]
    assert found.aliases == (Alias("champion", 1, None, ("shown",)),) and found.metric == "auc" and found.url

    assert standings.read() is standings.read(), "nothing changed, so nothing is read again"
    api.set_alias("standing", "champion", "2")
    number = box.state.releases.add("shown", "shown:1", "standing", 1, None, "sha256:e", "me/cli").number
    box.state.releases.split("shown", {number: 100}, "me/cli", kind="deploy")
    now = standings.of("standing")
    assert now.versions[0].version.aliases == ("champion",)
    assert now.versions[1].serving == (Serving("shown", number, 100, False),)
    lines = run_box(live_box, "models", "status").stdout.splitlines()
    assert next(line.split() for line in lines if line.startswith("standing  2")) == (
        ["standing", "2", "champion", "auc", "0.75", "1", "of", "3", "refused", "-", "-", "-"]
    )
    box.state.releases.split("shown", {}, "me/cli", kind="undeploy")
    assert standings.of("standing").versions[1].serving == ()
    with pytest.raises(BoxError, match="standin"):
        standings.of("standin")
    box.state.close()


def test_a_box_without_models_says_how_to_make_one(project: Path) -> None:
    done = run_box(project, "models", "status")
    assert done.returncode == 0 and "box run flows/train.py" in done.stdout


def test_a_database_that_cannot_be_read_is_told(project: Path) -> None:
    box = Box(project)
    box.paths.mlflow.mkdir(parents=True)
    (box.paths.mlflow / "mlflow.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(BoxError) as caught:
        box.models.status()
    assert caught.value.code is ExitCode.PRECONDITION and "mlflow.db" in caught.value.why
    (box.paths.mlflow / "mlflow.db").unlink()
    sqlite3.connect(box.paths.mlflow / "mlflow.db").execute("create table other (a)").connection.close()
    assert box.models.status() == ()
    box.state.close()
