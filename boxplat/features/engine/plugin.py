"""Feast's compute engine on DuckDB and the embedded online store. Imports Feast."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

from feast.infra.common.materialization_job import MaterializationJob, MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.dag.context import ExecutionContext
from feast.infra.compute_engines.dag.node import DAGNode
from feast.infra.compute_engines.local.arrow_table_value import ArrowTableValue
from feast.infra.compute_engines.local.compute import LocalComputeEngine
from feast.infra.compute_engines.local.feature_builder import LocalFeatureBuilder
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.compute_engines.local.local_node import LocalNode
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictInt, StrictStr

from boxplat.core.errors import BoxError
from boxplat.features.database import connect
from boxplat.features.engine.failures import combined
from boxplat.features.engine.load import Progress, load
from boxplat.features.engine.plan import Options, named
from boxplat.features.engine.views import EPOCH, microseconds, plain, planned
from boxplat.features.online.plugin import BoxOnlineStore, rows_store, versioned
from boxplat.features.online.views import stored_name


class BoxComputeEngineConfig(FeastConfigBaseModel):
    """Settings under `batch_engine` in feature_store.yaml.

    Attributes:
        memory_limit: of DuckDB while it reads, such as `256MB`.
        threads: of DuckDB; None: one per core.
        temp_directory: where DuckDB spills to.
        settings: further DuckDB options by name; those of `BoxOfflineStore` when left out.
        partition_bytes: the most that is worked on at once, as uncompressed columns.
        backend: `pandas` or `polars`, for views with transformations, which Feast's own engine runs.
    """

    type: StrictStr = "boxplat.features.BoxComputeEngine"
    memory_limit: StrictStr = "256MB"
    threads: StrictInt | None = None
    temp_directory: StrictStr | None = None
    settings: dict[str, str] | None = None
    partition_bytes: StrictInt = 128 << 20
    backend: StrictStr | None = None


def _done(name: str, failure: BaseException | None = None) -> LocalMaterializationJob:
    status = MaterializationJobStatus.ERROR if failure else MaterializationJobStatus.SUCCEEDED
    return LocalMaterializationJob(job_id=name, status=status, error=failure)


class BoxComputeEngine(LocalComputeEngine):
    """Loads plain feature views over files into `BoxOnlineStore`; whatever else there is, Feast's own engine does.

    A view is plain when its rows are its file source's rows: no transformation, aggregation, filter, validation or view
    as its source, and nothing to write offline. Rows are chosen by event time, then created time, then place in the
    source, also against those that the store holds, so `only_latest=False` makes no difference.

    Attributes:
        watch: hears how far each view's reading is, instead of the task's progress bar.
        loaded: how many keys each view's last load had, by the view's name; of views that this engine loaded itself.
    """

    def __init__(self, *, backend: str | None = None, **settings: Any) -> None:
        stores = {name: settings.pop(name) for name in ("repo_config", "offline_store", "online_store")}
        super().__init__(backend=backend, **stores)
        self.watch: Progress | None = None
        self.loaded: dict[str, int] = {}
        self._config = BoxComputeEngineConfig(**settings)

    @property
    def supports_batch(self) -> bool:
        """All views come in one call: one that fails does not keep the others from being loaded."""
        return True

    def materialize(self, registry: BaseRegistry, tasks: Any, **kwargs: Any) -> list[MaterializationJob]:
        """One job for each task; of several failures the first one names the others."""
        jobs: list[MaterializationJob] = super().materialize(registry, tasks, **kwargs)
        failed = {at: error for at, job in enumerate(jobs) if isinstance(error := job.error(), BoxError)}
        for first in list(failed)[:1]:
            jobs[first] = _done(jobs[first].job_id(), combined(list(failed.values())))
        return jobs

    def watermark(self, view: Any) -> datetime | None:
        """Up to which event time a view is loaded, None if it never was: the store's own word where the store is ours,
        which is right also after a kill between the store's commit and the registry's."""
        if not isinstance(self.online_store, BoxOnlineStore):
            known: datetime | None = view.most_recent_end_time
            return known
        store, name = rows_store(self.repo_config), stored_name(view, versioned(self.repo_config))
        us = store.watermark_us(name) if name in store.views() else None
        return None if us is None else EPOCH + timedelta(microseconds=us)

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        view = task.feature_view
        if not isinstance(self.online_store, BoxOnlineStore) or not plain(view):
            return self._by_feast(registry, task)
        try:
            with named(view.name):
                self.loaded[view.name] = self._load(task)
                return _done(view.name)
        # Feast's contract: whatever goes wrong belongs to the job, so that the other views are still loaded.
        except Exception as error:
            return _done(view.name, error)

    def _load(self, task: MaterializationTask) -> int:
        config, options = self.repo_config, self._options()
        whole = task.disable_event_timestamp
        since, until = (EPOCH, datetime.now(UTC)) if whole else (task.start_time, task.end_time)
        store = rows_store(config)
        with connect(options) as db, ExitStack() as bars:
            wanted = planned(task.feature_view, since, until, config.repo_path, db, versioned(config))
            if wanted.view.name not in store.views() or store.view(wanted.view.name) != wanted.view:
                store.define(wanted.view)
            return load(store, wanted, db, options.partition_bytes, self.watch or _shown(task, bars))

    def _options(self) -> Options:
        """DuckDB's further options are the offline store's unless the engine has its own: S3 keys are given once."""
        own = self._config
        settings = (
            own.settings if own.settings is not None else getattr(self.repo_config.offline_store, "settings", None)
        )
        return Options(own.memory_limit, own.threads, own.temp_directory, settings or {}, own.partition_bytes)

    def _by_feast(self, registry: BaseRegistry, task: MaterializationTask) -> LocalMaterializationJob:
        context = self.get_execution_context(registry, task)
        name = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        try:
            _Builder(registry, task, backend=self._get_backend(context)).build().execute(context)
            self._reached(task)
        except Exception as error:
            return _done(name, error)
        return _done(name)

    def _reached(self, task: MaterializationTask) -> None:
        """Our store measures freshness, and ages where it is told to, by how far a view is loaded, by whomever."""
        if not isinstance(self.online_store, BoxOnlineStore):
            return
        store, name = rows_store(self.repo_config), stored_name(task.feature_view, versioned(self.repo_config))
        if name in store.views():
            until = datetime.now(UTC) if task.disable_event_timestamp else task.end_time
            with store.load(name) as work:
                work.commit(microseconds(until))


class _Builder(LocalFeatureBuilder):
    """Feast's plan, whose last step writes only the first chunk of a table: give it tables of one."""

    def build_output_nodes(self, view: Any, input_node: DAGNode) -> DAGNode:
        node: DAGNode = super().build_output_nodes(  # type: ignore[no-untyped-call]
            view, _OneChunk("one chunk", inputs=[input_node])
        )
        return node


class _OneChunk(LocalNode):
    def execute(self, context: ExecutionContext) -> ArrowTableValue:
        output = ArrowTableValue(self.get_single_table(context).data.combine_chunks())
        context.node_outputs[self.name] = output
        return output


def _shown(task: MaterializationTask, bars: ExitStack) -> Progress:
    """The task's progress bar, made when the number of rows is known."""

    def begin(rows: int) -> Callable[[int], object]:
        # In a log each step of a bar would be a line.
        if task.tqdm_builder is None or not sys.stderr.isatty():
            return lambda _: None
        bar: Any = task.tqdm_builder(rows)
        bars.callback(bar.close)
        return lambda done: bar.update(done)

    return begin
