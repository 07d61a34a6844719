"""A project with a history: what MLflow, Metaflow and Feast keep of it, made by themselves."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

from boxplat.core.config import Config, load
from boxplat.core.environment import child_environment
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore

FLOW = """
import os
from metaflow import FlowSpec, Parameter, step

class MovedFlow(FlowSpec):
    size = Parameter("size", default=3)

    @step
    def start(self):
        self.squares, self.text = [at**2 for at in range(self.size)], "Grüße \\u2603"
        self.next(self.end)

    @step
    def end(self):
        if os.environ.get("ENDS") != "well":
            raise RuntimeError("as it is meant to")
        self.total = sum(self.squares)

if __name__ == "__main__":
    MovedFlow()
"""
STORE = """\
project: moved
provider: local
registry: ../.box/feast/registry.db
offline_store: {type: boxplat.features.BoxOfflineStore}
online_store: {type: sqlite, path: ../.box/feast/online.db}
entity_key_serialization_version: 3
"""
DEFINITIONS = """\
import os
from datetime import timedelta
from pathlib import Path

from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float64

place = Entity(name="place", value_type=ValueType.STRING)
rows = FileSource(
    name="rows", path=str(Path(os.environ["BOXPLAT_DATA"]) / "rows.parquet"), timestamp_field="event_timestamp"
)
weather = FeatureView(
    name="weather", entities=[place], ttl=timedelta(days=3650), schema=[Field(name="temp", dtype=Float64)], source=rows
)
service = FeatureService(name="all", features=[weather])
"""


def make(root: Path) -> tuple[Paths, Config]:
    """The project; its flow has failed in its last step."""
    for file, text in {
        "boxplat.toml": '[project]\nname = "moved"\n',
        "flows/moved.py": FLOW,
        "feature_repo/feature_store.yaml": STORE,
        "feature_repo/definitions.py": DEFINITIONS,
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text)
    paths = Paths(root)
    paths.create()
    config = load(paths.config, {})
    environment = child_environment(paths, config)
    command = [sys.executable, "flows/moved.py", "--no-pylint", "run"]
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as flow:
        _track(paths)
        _register(paths, config)
        output, _ = flow.communicate()
    assert flow.returncode != 0 and b"as it is meant to" in output, output.decode()
    return paths, config


def client(database: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=database, registry_uri=database)


def local(paths: Paths) -> str:
    return f"sqlite:///{paths.mlflow / 'mlflow.db'}"


def _track(paths: Paths) -> None:
    """Runs, a model and its alias, with everything in them that could be lost on the way."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelStatus, Metric, Param, RunTag

    mlflow = client(local(paths))
    experiment = mlflow.create_experiment("Größe, 'quotes' and \\ 日本", artifact_location="mlflow-artifacts:/1")
    runs = [mlflow.create_run(experiment, tags={"n": "on", "t": "x" * 4000}).info.run_id for _ in range(3)]
    for number, run in enumerate(runs):
        values = (0.1 + 0.2, -0.0, 5e-324, math.nan, math.inf, -math.inf, 1.7976931348623157e308)
        metrics = [Metric("loss/a: b-1.0 ", value, 1700000000000 + at, at) for at, value in enumerate(values)]
        params = [Param("y", "null"), Param("long", "ü" * 5900), Param("lines", "a\\N\nb\r\n\t\\.\n")]
        mlflow.log_batch(run, metrics * 2, params, [RunTag("empty", ""), RunTag("n", "\u2603 1e3")])
        dataset = Dataset(f"d{number}", "digest", "local", "{}")
        mlflow.log_inputs(run, [DatasetInput(dataset, [InputTag("context", "train")])])
    model = mlflow.create_logged_model(experiment, "net", runs[0], tags={"a": "b"}, params={"depth": "3"})
    mlflow.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    mlflow.create_registered_model("delay", tags={"team": "flights"}, description="späte Flüge")
    for run in runs[:2]:
        version = mlflow.create_model_version("delay", model.artifact_location, run, tags={"k": "v"})
        mlflow.set_registered_model_alias("delay", "champion", version.version)
    mlflow.set_terminated(runs[0])
    mlflow.delete_run(runs[2])
    artifact = paths.mlflow / "artifacts" / "1" / runs[0] / "artifacts" / "model" / "weights ü.bin"
    artifact.parent.mkdir(parents=True)
    artifact.write_bytes(bytes(range(256)) * 50)


def _register(paths: Paths, config: Config) -> None:
    from datetime import UTC, datetime

    import pyarrow as pa
    import pyarrow.parquet as pq

    from boxplat import features

    moments = [datetime(2024, 1, day, tzinfo=UTC) for day in (1, 2)]
    table = pa.table({"place": ["a", "b"], "temp": [1.5, 2.5], "event_timestamp": moments})
    pq.write_table(table, paths.data / "rows.parquet")
    state = StateStore.open(paths)
    try:
        features.apply(state, paths, config, "test", lambda line: None)
        features.materialize(state, paths, config, "2023-12-01", "2024-01-03", "test", lambda line: None)
    finally:
        state.close()


def told(database: str) -> dict[str, Any]:
    """Everything that MLflow's own client says of a store."""
    mlflow = client(database)
    found: dict[str, Any] = {}
    for experiment in mlflow.search_experiments(view_type=3):
        found[f"experiment {experiment.experiment_id}"] = _plain(experiment)
        for run in mlflow.search_runs([experiment.experiment_id], run_view_type=3):
            found[f"run {run.info.run_id}"] = repr(run.to_dictionary())
            for key in run.data.metrics:
                history = mlflow.get_metric_history(run.info.run_id, key)
                found[f"metric {run.info.run_id} {key}"] = sorted(repr(_plain(one)) for one in history)
        for model in mlflow.search_logged_models([experiment.experiment_id]):
            found[f"logged {model.model_id}"] = repr(model.to_dictionary())
    for model in mlflow.search_registered_models():
        found[f"model {model.name}"] = {**_plain(model), "latest_versions": None}
        for version in mlflow.search_model_versions(f"name = '{model.name}'"):
            found[f"version {model.name} {version.version}"] = _plain(version)
        for alias in model.aliases:
            found[f"alias {alias}"] = mlflow.get_model_version_by_alias(model.name, alias).version
    return found


def _plain(entity: Any) -> dict[str, Any]:
    return {key: repr(value) if not isinstance(value, list) else sorted(map(repr, value)) for key, value in entity}
