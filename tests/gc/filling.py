"""Projects with many runs: a few really ran; the others are copies of these with artifacts of their own."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import pickle
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxplat.core.model import Run, RunState
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.core.state.database import Transaction
from boxplat.runs import spool
from boxplat.runs.outbox import spool_path

DAY = 86_400.0
FLOWS = Path(__file__).parent / "flows"


@dataclass(frozen=True)
class Registered:
    """A model version and the tracking run that it came from."""

    version: int
    run: str


class Filling:
    """Fills a box.

    Args:
        original: a run of MakesFlow that is in the datastore.
    """

    def __init__(self, state: StateStore, paths: Paths, original: str) -> None:
        self.state, self.paths = state, paths
        self._flow = paths.metaflow / ".metaflow" / "MakesFlow"
        self._original = original
        self._mlflow = _Mlflow(paths)

    def run(
        self, days: float, state: RunState = RunState.SUCCEEDED, resume: int | None = None, shared: bytes = b""
    ) -> Run:
        """A run that ended some days ago, with artifacts, notes, a log and a tracking run with a file.

        Args:
            shared: makes an artifact that all runs with the same one share.
        """
        options = {"resume": resume} if resume else {}
        ended = time.time() - days * DAY

        def over(tx: Transaction, number: int) -> None:
            # At once, or a supervisor would start it.
            values = (state.value, ended - 60, ended, number)
            tx.execute("update run set state = ?, started = ?, ended = ? where id = ?", values)

        run = self.state.runs.add("flows/makes.py", "MakesFlow", {"n": "1"}, options, "test", also=over)
        metaflow = str(int(self._original) + run.id)
        self._stored(metaflow, {"payload": os.urandom(40_000), "shared": shared or b"everybody's" * 5_000})
        folder = self.paths.run_dir(run.id)
        folder.mkdir(parents=True)
        (folder / "run.log").write_bytes(b"a line of its log\n" * 300)
        spool.append(spool_path(folder), {"kind": "tags", "at": ended, "tags": {"boxplat.code_digest": "c0de"}})
        tracking = self._mlflow.run(f"MakesFlow-{run.id}", ended)
        self.state.runs.update(run.id, tracking_run_id=tracking, pathspec=f"MakesFlow/{metaflow}")
        return self.state.runs.get(run.id)

    def registered(self, run: Run, model: str = "delay", alias: str = "") -> Registered:
        """A version of a model that a run logged."""
        assert run.tracking_run_id
        return Registered(self._mlflow.version(run.tracking_run_id, model, alias), run.tracking_run_id)

    def bento(self, version: str, days: float) -> str:
        """A Bento in the store."""
        folder = self.paths.bentoml / "bentos" / "delay" / version
        folder.mkdir(parents=True)
        facts = f"service: service:Delay\nname: delay\nversion: {version}\ncreation_time: '2026-01-01T00:00:00+00:00'\n"
        (folder / "bento.yaml").write_text(f"{facts}bentoml_version: 1.4.39\nlabels: {{}}\nmodels: []\n")
        (folder / "weights").write_bytes(os.urandom(20_000))
        os.utime(folder / "bento.yaml", (time.time() - days * DAY,) * 2)
        return f"delay:{version}"

    def _stored(self, run: str, artifacts: dict[str, bytes]) -> None:
        """A copy of the original run under another number, with other contents."""
        shutil.copytree(self._flow / self._original, self._flow / run)
        blobs = {name: self._blob(content) for name, content in artifacts.items()}
        for file in (self._flow / run).rglob("*.json"):
            content = json.loads(file.read_text())
            if file.name.endswith(".data.json"):
                content["objects"].update({name: sha for name, sha in blobs.items() if name in content["objects"]})
            else:
                content["run_number"] = run
                if content.get("name") in blobs and "sha" in content:
                    content["sha"] = blobs[content["name"]]
            root = re.search(r":root:(.*?)/\.metaflow", json.dumps(content))
            text = json.dumps(content)
            file.write_text(text.replace(root[1], str(self.paths.metaflow)) if root else text)

    def _blob(self, content: bytes) -> str:
        data = pickle.dumps(content, protocol=4)
        sha = hashlib.sha1(data).hexdigest()
        path = self._flow / "data" / sha[:2] / sha
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(gzip.compress(data, 1))
        path.with_name(f"{sha}_meta").write_text('{"cas_raw": false, "cas_version": 1}')
        return sha


class _Mlflow:
    """The tracking store as MLflow itself writes it."""

    def __init__(self, paths: Paths) -> None:
        import mlflow
        from mlflow.store.model_registry import sqlalchemy_store as registry
        from mlflow.store.tracking import sqlalchemy_store as tracking

        uri = f"sqlite:///{paths.mlflow / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)  # the registry looks logged models up there
        stores: Any = tracking
        registries: Any = registry
        self._paths = paths
        self._store = stores.SqlAlchemyStore(uri, "mlflow-artifacts:/")
        self._registry = registries.SqlAlchemyStore(uri)
        there = self._store.get_experiment_by_name("MakesFlow")
        self._experiment = there.experiment_id if there else self._store.create_experiment("MakesFlow")

    def run(self, name: str, ended: float) -> str:
        from mlflow.entities import RunStatus

        at = int(ended * 1000)
        made = self._store.create_run(self._experiment, "test", at - 1000, [], name)
        run = str(made.info.run_id)
        self._store.update_run_info(run, RunStatus.FINISHED, at, name)
        folder = self._folder(made.info.artifact_uri)
        folder.mkdir(parents=True)
        (folder / "card.html").write_bytes(os.urandom(10_000))
        return run

    def version(self, run: str, name: str, alias: str) -> int:
        from mlflow.exceptions import MlflowException

        model = self._store.create_logged_model(self._experiment, name, run, [], [], None)
        folder = self._folder(model.artifact_location)
        folder.mkdir(parents=True)
        (folder / "model.onnx").write_bytes(os.urandom(10_000))
        try:
            self._registry.create_registered_model(name)
        except MlflowException:
            pass
        source = f"models:/{model.model_id}"
        version = int(self._registry.create_model_version(name, source, run, model_id=model.model_id).version)
        if alias:
            self._registry.set_registered_model_alias(name, alias, version)
        return version

    def _folder(self, uri: str) -> Path:
        return self._paths.mlflow / "artifacts" / uri.removeprefix("mlflow-artifacts:/")


def paths_of(found: Sequence[Path]) -> set[str]:
    """All files below some folders."""
    return {str(path) for folder in found for path in folder.rglob("*") if path.is_file()}
