"""A real box in which each flow starts the next: ingest, features, retrain, deploy; only decorators tie them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from boxplat.box import Box
from boxplat.core.model import Run, RunState
from tests.conftest import run_box
from tests.releases.conftest import until, write_bento
from tests.releases.gates.test_promotion import FAIR, model, register
from tests.releases.test_deploy import post, tracking

pytestmark = pytest.mark.integration
SETTINGS = """
[project]
name = "chain"
[tracking]
port = 0
[features]
port = 0
[gateway]
port = 0
[endpoints.adder]
bento = "bentos/adder"
model = "toy"
port = 0
watch = ""
warmup = 0
[schedules.IngestFlow]
missed = "skip"
"""
STORE = """
project: chain
provider: local
registry: ../.box/feast/registry.db
offline_store:
  type: boxplat.features.BoxOfflineStore
online_store:
  type: boxplat.features.BoxOnlineStore
  path: ../.box/feast/online
batch_engine:
  type: boxplat.features.BoxComputeEngine
entity_key_serialization_version: 3
"""
FLOW = """
from metaflow import FlowSpec, Parameter, current, schedule, step, trigger, trigger_on_finish

{decorator}
class {name}(FlowSpec):
    rows = Parameter("rows", default=3)

    @step
    def start(self):
{body}
        self.next(self.end)

    @step
    def end(self):
        started = getattr(current, "trigger", None)
        print("STARTED BY", started.event.name if started else "nothing")


if __name__ == "__main__":
    {name}()
"""
BODIES = {
    ("IngestFlow", "@schedule(cron='0 3 1 1 *')"): """
        import os
        from datetime import UTC, datetime, timedelta
        import pyarrow as pa
        import pyarrow.parquet as pq

        at = [datetime.now(UTC) - timedelta(minutes=number) for number in range(self.rows)]
        table = pa.table({"airport": list(range(self.rows)), "event_timestamp": at, "wind": [1.0] * self.rows})
        os.makedirs(".box/data", exist_ok=True)
        pq.write_table(table, ".box/data/reports.parquet")
""",
    ("BringFlow", "@trigger_on_finish(flow='IngestFlow')"): """
        from datetime import UTC, datetime, timedelta
        from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
        from feast.types import Float64

        source = FileSource(name="reports", path="../.box/data/reports.parquet", timestamp_field="event_timestamp")
        airport = Entity(name="airport", join_keys=["airport"], value_type=ValueType.INT64)
        wind, day = [Field(name="wind", dtype=Float64)], timedelta(days=1)
        views = [
            FeatureView(name=name, entities=[airport], ttl=day, schema=wind, source=source)
            for name in ("reports", "again")
        ]
        store = FeatureStore("feature_repo")
        store.apply([airport, *views])
        for view in views:
            store.materialize(datetime.now(UTC) - day, datetime.now(UTC), feature_views=[view.name])
""",
    ("RetrainFlow", "@trigger(event='features.materialized')"): """
        import mlflow

        client = mlflow.MlflowClient()
        run = client.create_run("0")
        client.log_text(run.info.run_id, "weights", "model.txt")
        made = client.create_model_version("toy", run.info.artifact_uri, run.info.run_id)
        client.set_registered_model_alias("toy", "challenger", made.version)
""",
    ("ChallengeFlow", "@trigger_on_finish(flow='RetrainFlow')"): """
        from boxplat.box import Box

        print("RELEASE", Box(by="chain").deploy("adder", version="challenger", percent=10).number)
""",
    ("OtherFlow", "@trigger(event='nobody.says.this')"): """
        from metaflow.integrations import ArgoEvent

        ArgoEvent("other.done").add_to_payload("rows", 5).safe_publish({"more": [1]})
        ArgoEvent("run.succeeded").publish()
""",
    ("LastFlow", "@trigger(event='other.done')"): "\n        pass\n",
}


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    root: Path = tmp_path_factory.mktemp("chain")
    (root / "boxplat.toml").write_text(SETTINGS)
    (root / "feature_repo").mkdir()
    (root / "feature_repo" / "feature_store.yaml").write_text(STORE)
    write_bento(root / "bentos" / "adder")
    (root / "flows").mkdir()
    for (name, decorator), body in BODIES.items():
        text = FLOW.format(name=name, decorator=decorator, body=body)
        (root / "flows" / f"{name.removesuffix('Flow').lower()}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BOXPLAT_SCHEDULE_ENABLED", "true")
        made = Box(root, by="test")
        made.up(detach=True)
        try:
            made.wait(timeout=400)
            post(tracking(made), "registered-models/create", name="toy")
            register(made, model(FAIR))
            post(tracking(made), "registered-models/alias", name="toy", alias="champion", version="1")
            made.deploy("adder")
            yield made
        finally:
            made.down()


def test_from_ingest_to_a_deployed_challenger(box: Box) -> None:
    first = box.schedule.run_now("IngestFlow")

    def done() -> list[Run]:
        runs = sorted(box.runs(), key=lambda run: run.id)
        failed = [run for run in runs if run.state is RunState.FAILED]
        assert not failed, failed[0].error
        return runs if any(run.name == "ChallengeFlow" and run.state is RunState.SUCCEEDED for run in runs) else []

    runs = until("the challenger is deployed", done, 900)
    assert [run.name for run in runs] == ["IngestFlow", "BringFlow", "RetrainFlow", "ChallengeFlow"]
    assert runs[0].id == first.id
    queued = {event.subject: event.data["by"] for event in box.events(limit=1000) if event.kind == "run.queued"}
    assert [queued[f"run/{run.id}"] for run in runs] == ["test", "schedule", "schedule", "schedule"]
    # Both views of the run make one event, after it has succeeded.
    brought = [event for event in box.events(limit=1000) if event.kind == "features.materialized"]
    assert [(event.data["rows"], event.data["in_run"]) for event in brought] == [
        ({"reports": 3, "again": 3}, runs[1].id)
    ]
    # Metaflow's own client and `current` know it, as on Argo.
    words = ["metaflow.IngestFlow.end", "features.materialized", "metaflow.RetrainFlow.end"]
    for run, word in zip(runs[1:], words, strict=True):
        assert any(line.endswith(f"STARTED BY {word}") for line in box.logs(str(run.id), lines=50))
    live = box.state.releases.traffic("adder")
    challenger = next(one for one in box.state.releases.all("adder") if one.model_version == 2)
    assert live[challenger.number] == 10 and sum(live.values()) == 100
    assert challenger.created_by == "chain"


def test_what_the_commands_say(box: Box) -> None:
    done = run_box(box.root, "schedule", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)["schedules"]}
    assert rows["IngestFlow"]["cron"] == "0 3 1 1 *" and rows["BringFlow"]["events"] == ["metaflow.IngestFlow.end"]
    done = run_box(box.root, "schedule", "pause", "OtherFlow")
    assert done.returncode == 0, done.stderr
    done = run_box(box.root, "events", "publish", "nobody.says.this", "--payload", '{"rows": 1}', "-p", "a=b")
    assert done.returncode == 0 and "OtherFlow" in done.stderr
    done = run_box(box.root, "events", "publish", "x", "--payload", "words")
    assert done.returncode == 2 and "why:" in done.stderr and "fix:" in done.stderr
    done = run_box(box.root, "schedule", "resume", "Nobody")
    assert done.returncode == 9 and "did you mean" not in done.stdout
    assert "OtherFlow" in run_box(box.root, "schedule", "list").stdout
    assert not [run for run in box.runs() if run.name == "OtherFlow"]


def test_an_event_of_metaflows_own_api_starts_flows_too(box: Box) -> None:
    assert run_box(box.root, "schedule", "resume", "OtherFlow").returncode == 0
    done = run_box(box.root, "events", "publish", "nobody.says.this")
    assert "OtherFlow" in done.stderr
    last = until(
        "LastFlow ends", lambda: next((r for r in box.runs() if r.name == "LastFlow" and r.state.over), None), 600
    )
    assert last.state is RunState.SUCCEEDED and dict(last.params) == {"rows": "5"}
    refused = until(
        "the refusal is told", lambda: [event for event in box.events(limit=1000) if event.kind == "event.refused"]
    )
    assert [event.data["name"] for event in refused] == ["run.succeeded"]
