"""Feast's online store over packed rows: `online_store: {type: boxplat.features.BoxOnlineStore}`. Imports Feast."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

from feast import metrics
from feast.entity import Entity
from feast.feature_service import FeatureService
from feast.feature_view import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.infra.registry.base_registry import BaseRegistry
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.online_response import OnlineResponse
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import RepeatedValue, Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from pydantic import StrictStr

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features import catalog, rows
from boxplat.features.online import keys, request, values, views, writing
from boxplat.features.online.plans import Features, Plans, Serving, part_of, version_of
from boxplat.features.online.request import Part, Plan
from boxplat.features.online.response import BoxOnlineResponse, append, stored_messages
from boxplat.features.schema import View

EntityRows = list[dict[str, Any]] | Mapping[str, Sequence[Any] | Sequence[Value] | RepeatedValue]
Read = list[tuple[datetime | None, dict[str, Value] | None]]
Written = list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]
Progress = Callable[[int], Any] | None
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BoxOnlineStoreConfig(FeastConfigBaseModel):
    """The store's lines in `feature_store.yaml`."""

    type: StrictStr = "boxplat.features.BoxOnlineStore"

    path: StrictStr = "data/online"
    """Folder of the rows, one folder for each project; relative to the repository."""

    clock: Literal["wall", "materialization"] = "wall"
    """What ages are measured against: now, or (for a replay of old data) the end of each view's materialization."""


def rows_store(config: RepoConfig) -> rows.Store:
    """The project's rows; opening is cheap."""
    return rows.Store(folder(config))


def folder(config: RepoConfig) -> Path:
    """Where the project's rows are."""
    base = Path(config.online_store.path)
    if config.repo_path and not base.is_absolute():
        base = Path(config.repo_path) / base
    return base / str(config.project)


def versioned(config: RepoConfig) -> bool:
    """Whether each version of a view has rows of its own."""
    return bool(config.registry.enable_online_feature_view_versioning)


class BoxOnlineStore(OnlineStore):
    """Feast's online store, embedded: packed rows in files, read without a server."""

    def __init__(self) -> None:
        self._plans = Plans()
        self._opened: tuple[RepoConfig, rows.Store] | None = None

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """A read takes microseconds, so the asynchronous forms just do it."""
        return SupportedAsyncMethods(read=True, write=True)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Define the rows of new and changed views, and drop those of deleted ones."""
        store = self._store(config)
        for table in tables_to_keep:
            store.define(views.view(table, versioned=versioned(config)))
        for table in tables_to_delete:
            store.drop(views.stored_name(table, versioned(config)))
        self._plans.forget()

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Remove all rows of the project."""
        self._plans.forget()
        self._opened = None
        if folder(config).exists():
            shutil.rmtree(folder(config))

    def online_write_batch(self, config: RepoConfig, table: FeatureView, data: Written, progress: Progress) -> None:
        """Store a batch durably. A row older than the stored one is left out.

        Raises:
            BoxError: a value that the view's types cannot hold; nothing of the batch is stored.
        """
        if data:
            writing.push(self._store(config), self._defined(config, table, data), data)
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self, config: RepoConfig, table: FeatureView, data: Written, progress: Progress
    ) -> None:
        """`online_write_batch`."""
        self.online_write_batch(config, table, data, progress)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> Read:
        """Rows of one view as messages; a row that is missing or too old has no values."""
        store = self._store(config)
        name = views.stored_name(table, versioned(config))
        stored = _known(store, name)
        if not entity_keys or stored is None:
            return [(None, None)] * len(entity_keys)
        fields = tuple(
            field.name for field in stored.fields if not requested_features or field.name in requested_features
        )
        part = Part(stored, name, fields, tuple((key.name, key.name) for key in stored.keys))
        messages = writing.key_columns(stored, entity_keys)
        columns = {key: list(map(values.plain, column)) for key, column in messages.items()}
        return _read(part, self._looked_up(config, part, columns, len(entity_keys)))

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> Read:
        """`online_read`."""
        return self.online_read(config, table, entity_keys, requested_features)

    def get_online_features(
        self,
        config: RepoConfig,
        features: Features,
        entity_rows: EntityRows,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """Features by key. What is older than its view's life time is OUTSIDE_MAX_AGE, without its value.

        Raises:
            BadKeys: rows with different keys, a key that is missing or of another type.
            BoxError: features that do not exist, collide, or may not be served; of Feast's own class for that too.
        """
        plan = self._plans.find(registry, project, features, full_feature_names, versioned(config))
        if self._plans.changed():
            catalog.refresh(config, registry)
        given, count = _given(entity_rows)
        asked = request.asked(plan, given, lambda: _named(features))
        if plan.on_demand or metrics._config.online_features:
            merged = {**given, **asked}
            return super().get_online_features(
                config,
                features,
                {name: list(column) for name, column in merged.items() if name not in plan.renamed},
                cast(BaseRegistry, Serving(registry)),
                project,
                full_feature_names,
                include_feature_view_version_metadata,
            )
        found, _ = request.lookup(self._store(config), plan, asked, count, None, config.online_store.clock)
        return BoxOnlineResponse(plan, asked, found, full_feature_names, include_feature_view_version_metadata)

    async def get_online_features_async(
        self,
        config: RepoConfig,
        features: Features,
        entity_rows: EntityRows,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        include_feature_view_version_metadata: bool = False,
    ) -> OnlineResponse:
        """`get_online_features`."""
        return self.get_online_features(
            config,
            features,
            entity_rows,
            registry,
            project,
            full_feature_names,
            include_feature_view_version_metadata,
        )

    def _read_features_per_fv(
        self,
        config: RepoConfig,
        grouped_refs: list[Any],
        join_key_values: dict[str, list[Value]],
        entity_name_to_join_key_map: dict[str, str],
        online_features_response: Any,
        full_feature_names: bool,
        include_feature_view_version_metadata: bool,
    ) -> None:
        """Feast's own path, for on-demand views: the inputs of the transformations, with their true states."""
        columns = {name: list(map(values.plain, found)) for name, found in join_key_values.items()}
        count = max(map(len, columns.values()), default=0)
        for table, asked in grouped_refs:
            part = part_of(table, asked, {}, versioned(config))
            found = self._looked_up(config, part, columns, count)
            append(online_features_response, part, found, full_feature_names)
            if include_feature_view_version_metadata:
                _tell_version(online_features_response, table)

    def _is_versioned_read_supported(self) -> bool:
        """Versions have rows of their own. (Feast's answer imports six other stores.)"""
        return True

    def _looked_up(self, config: RepoConfig, part: Part, columns: request.Columns, count: int) -> rows.Rows:
        plan = Plan((part,), request.types_of((part,)))
        found, _ = request.lookup(self._store(config), plan, columns, count, None, config.online_store.clock)
        return found[0]

    def _store(self, config: RepoConfig) -> rows.Store:
        opened = self._opened
        if opened is None or opened[0] is not config:
            opened = self._opened = (config, rows_store(config))
        return opened[1]

    def _defined(self, config: RepoConfig, table: FeatureView, data: Written) -> View:
        store, name = self._store(config), views.stored_name(table, versioned(config))
        known = _known(store, name)
        if known is None:
            described = views.view(table, versioned=versioned(config))
            known = described if described.keys else writing.undeclared(described, data)
            store.define(known)
        return known


def _known(store: rows.Store, name: str) -> View | None:
    try:
        return store.view(name)
    except BoxError as error:
        if error.code is not ExitCode.NOT_FOUND:
            raise
        return None


def _given(rows_: EntityRows) -> tuple[dict[str, Sequence[Any]], int]:
    """The request's columns and their length; messages as the Python values in them."""
    columns, count = keys.columns(rows_)
    for name, column in columns.items():
        if type(column[0]) is Value:
            columns[name] = list(map(values.plain, column))
    return columns, count


def _named(features: Features) -> str:
    return str(features.name) if isinstance(features, FeatureService) else ", ".join(features)


def _read(part: Part, found: rows.Rows) -> Read:
    types = {field.name: field.type for field in part.view.fields}
    columns = {name: stored_messages(found, name, types[name]) for name in part.fields}
    answer: Read = []
    for row, (status, us) in enumerate(zip(found.status.tolist(), found.event_us.tolist(), strict=True)):
        if status == rows.NOT_FOUND:
            answer.append((None, None))
            continue
        kept = {name: column[row] for name, column in columns.items()} if status != rows.OUTSIDE_MAX_AGE else None
        answer.append((_EPOCH + timedelta(microseconds=us), kept))
    return answer


def _tell_version(response: Any, table: Any) -> None:
    name, version = version_of(table)
    told = response.metadata.feature_view_metadata
    if name not in (one.name for one in told):
        told.add(name=name, version=version)
