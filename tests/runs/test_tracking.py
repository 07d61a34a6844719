"""The tracking server as declared, its database, the REST client, and MLflow's own client against it."""

from __future__ import annotations

import http.client
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from boxplat.adapters import tracking
from boxplat.adapters.tracking_api import TrackingApi, TrackingDownError, TrackingRefusedError
from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from tests.runs.conftest import Gate, Server

ROUND_TRIP = """
import sys
import mlflow
import numpy as np
from sklearn.linear_model import LinearRegression

# Inferring the requirements would load the model in yet another process.
KEEP = {"serialization_format": "cloudpickle", "pip_requirements": ["scikit-learn"]}
mlflow.set_experiment("by-hand")
with mlflow.start_run() as run:
    mlflow.log_param("seed", 1)
    mlflow.log_metric("r2", 0.5)
    model = LinearRegression().fit(np.array([[0.0], [1.0]]), np.array([0.0, 2.0]))
    mlflow.sklearn.log_model(model, name="model", registered_model_name="line", **KEEP)
mlflow.MlflowClient().set_registered_model_alias("line", "champion", 1)
loaded = mlflow.pyfunc.load_model("models:/line@champion")
print(run.info.run_id, float(loaded.predict(np.array([[3.0]]))[0]))
"""


# The last migration undone, as a database of an older MLflow would be.
STEP_BACK = """
import sys
from alembic import command
from mlflow.store.db import utils

config = utils._get_alembic_config(f"sqlite:///{sys.argv[1]}")
command.downgrade(config, "-1")
"""


def get(server: Server, path: str, host: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request("GET", path, headers={"Host": host})
    return connection.getresponse().status


def test_declaration_is_one_quiet_loopback_process(tmp_path: Path) -> None:
    service = tracking.service(Config(), Paths(tmp_path))
    words = " ".join(service.command)
    assert service.listen
    assert service.name == "tracking"
    assert "--fd ${self.fd}" in words
    assert "--host" not in words
    assert "--no-access-log" in words
    assert service.env["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert service.env["MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"] == "false"
    assert str(tmp_path) not in " ".join([words, *service.env.values()]), "its folder is bound late"
    assert service.env["_MLFLOW_SERVER_FILE_STORE"] == "sqlite:///${box.state}/mlflow/mlflow.db"


@pytest.mark.integration
def test_schema_is_made_once_though_two_ask_at_the_same_time(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    code = "import sys, pathlib; from boxplat.adapters import tracking; from boxplat.core.paths import Paths\n"
    code += "tracking.prepare(Paths(pathlib.Path(sys.argv[1]))); assert 'mlflow' not in sys.modules"
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in "12"]
    assert [process.wait(300) for process in both] == [0, 0]
    database = paths.mlflow / "mlflow.db"
    assert {path.stat().st_mode & 0o077 for path in paths.mlflow.iterdir()} == {0}
    connection = sqlite3.connect(database)
    assert connection.execute("pragma journal_mode").fetchone() == ("wal",)
    assert connection.execute("select count(*) from alembic_version").fetchone() == (1,)
    connection.close()
    changed = database.stat().st_mtime_ns
    tracking.prepare(paths)
    assert database.stat().st_mtime_ns == changed


@pytest.mark.integration
def test_an_older_schema_is_upgraded_on_a_copy_with_its_rows(server: Server, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    database = paths.mlflow / "mlflow.db"
    shared = sqlite3.connect(server.database)
    old = sqlite3.connect(database)
    shared.backup(old)
    (newest,) = shared.execute("select version_num from alembic_version").fetchone()
    old.execute("pragma journal_mode = wal")
    old.execute("insert into experiments (name, lifecycle_stage, workspace) values ('kept', 'active', 'default')")
    old.commit()
    subprocess.run([sys.executable, "-c", STEP_BACK, str(database)], check=True)
    assert old.execute("select version_num from alembic_version").fetchone() != (newest,)
    old.close()
    tracking.prepare(paths)
    connection = sqlite3.connect(database)
    assert connection.execute("select version_num from alembic_version").fetchone() == (newest,)
    assert connection.execute("select count(*) from experiments where name = 'kept'").fetchone() == (1,)
    connection.close()


@pytest.mark.integration
def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.create()
    (paths.mlflow / "mlflow.db").write_text("not a database, but somebody's notes " * 40)
    with pytest.raises(BoxError, match=r"cannot make the tracking database") as caught:
        tracking.prepare(paths)
    assert "database" in caught.value.why
    assert (paths.mlflow / "mlflow.db").read_text().startswith("not a database")


@pytest.mark.integration
def test_foreign_hosts_are_turned_away(server: Server) -> None:
    path = "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
    assert get(server, path, f"127.0.0.1:{server.port}") == 200
    assert get(server, path, "localhost:8080") == 200
    assert get(server, path, "evil.example") == 403
    assert get(server, path, f"evil.example:{server.port}") == 403


@pytest.mark.integration
def test_the_server_is_one_process(server: Server) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    assert process.children(recursive=True) == []
    assert process.memory_info().rss < 450 * 2**20


@pytest.mark.integration
def test_mlflows_own_client_logs_registers_and_loads(server: Server, tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    env = child_environment(paths, Config(), server.url)
    done = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    run_id, predicted = done.stdout.split()[-2:]
    assert float(predicted) == pytest.approx(6.0)

    (version,) = tracking.model(server.url, "line")
    assert (version.name, version.version, version.aliases) == ("line", 1, ("champion",))
    assert version.source_run_id == run_id
    assert version.metrics == {"r2": 0.5}
    assert [found.version for found in tracking.models(server.url) if found.name == "line"] == [1]
    with pytest.raises(BoxError) as caught:
        tracking.model(server.url, "lime")
    assert caught.value.code == ExitCode.NOT_FOUND
    assert "did you mean 'line'" in caught.value.what


@pytest.mark.integration
def test_more_than_one_request_may_hold_and_numbers_without_a_json_form(server: Server, client: Any) -> None:
    api = TrackingApi(server.url)
    experiment = api.experiment("many")
    assert api.experiment("many") == experiment
    run_id = str(api.create(experiment, "many", 1000.0, {"a": "1"})["info"]["run_id"])
    metrics = [(f"m{number}", float(number), 1001.0, 0) for number in range(900)]
    odd = [("nan", float("nan"), 1001.0, 0), ("low", float("-inf"), 1001.0, 0)]
    tags = {f"t{number}": "x" for number in range(150)}
    api.log(run_id, params={f"p{number}": "1" for number in range(130)}, tags=tags, metrics=[*metrics, *odd])
    api.log(run_id, params={"p0": "1"}, metrics=metrics[:10])
    data = client.get_run(run_id).data
    assert (len(data.metrics), len(data.params)) == (902, 130)
    assert data.metrics["nan"] != data.metrics["nan"]
    assert data.metrics["low"] < -1e300
    assert data.metrics["m899"] == 899.0
    assert len(client.get_metric_history(run_id, "m7")) == 1


@pytest.mark.integration
def test_a_server_that_is_away_is_told_from_one_that_refuses(gate: Gate) -> None:
    with pytest.raises(TrackingDownError):
        TrackingApi(gate.url).experiment("x")
    with pytest.raises(TrackingRefusedError):
        TrackingApi("sqlite:///mlflow.db")
