"""A `Case` made real: Parquet files, Feast's own objects, a request to a store, and what is wrong with the answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob
from feast.types import Array, Bool, Bytes, Decimal, FeastType, Float32, Float64, Int32, Int64, String, UnixTimestamp

from tests.features.oracle.model import Case, Row, View, answers, same

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_serial = itertools.count()

FEAST_TYPES: list[tuple[Callable[[pa.DataType], bool], FeastType]] = [
    (pa.types.is_int32, Int32),
    (pa.types.is_integer, Int64),
    (pa.types.is_float32, Float32),
    (pa.types.is_floating, Float64),
    (pa.types.is_boolean, Bool),
    (pa.types.is_binary, Bytes),
    (pa.types.is_timestamp, UnixTimestamp),
    (pa.types.is_decimal, Decimal),
]


def feast_type(type_: pa.DataType) -> FeastType:
    """The Feast type that a user would declare for an Arrow type."""
    if pa.types.is_list(type_):
        return Array(feast_type(type_.value_type))
    return next((feast for is_, feast in FEAST_TYPES if is_(type_)), String)


def column(rows: list[Row], name: str, type_: pa.DataType) -> pa.Array:
    """A column of rows; integers in a column of times are microseconds, written out where the column is of strings."""
    values = [row[name] for row in rows]
    if pa.types.is_string(type_) and any(isinstance(value, int) for value in values):
        values = [
            value if value is None else (EPOCH + timedelta(microseconds=value)).isoformat(timespec="microseconds")
            for value in values
        ]
    if pa.types.is_timestamp(type_):
        return pa.array(values, pa.int64()).cast(pa.timestamp("us", type_.tz)).cast(type_)
    return pa.array(values, type_)


def table(rows: list[Row], types: dict[str, pa.DataType]) -> pa.Table:
    return pa.table({name: column(rows, name, type_) for name, type_ in types.items()})


def write(view: View, folder: Path) -> Path:
    """The view's history as one file, or as a folder of several."""
    if view.path is not None:
        return Path(view.path)
    whole = table(view.rows, dict(view.types))
    target = folder / f"{view.name}_{next(_serial)}"
    # Encoded in both ways that writers have, by turns: as a dictionary, and plain.
    write_table = partial(pq.write_table, use_dictionary=len(view.rows) % 2 == 0)
    if view.parts == 1:
        target = target.with_suffix(".parquet")
        write_table(whole, target)
        return target
    target.mkdir()
    size = max(1, -(-len(view.rows) // view.parts))
    for part in range(view.parts):
        write_table(whole.slice(part * size, size), target / f"part-{part}.parquet")
    return target


@lru_cache
def declared_key(key: str) -> Entity:
    """The type is the one that the view's schema declares: views may write the same key in different widths."""
    return Entity(name=f"e_{key}", join_keys=[key])


def feature_view(view: View, path: Path) -> FeatureView:
    """The view as a user declares it, asked for under its alias."""
    renamed = {source: name for source, name in (*view.keys.items(), *view.features.items()) if source != name}
    source = FileSource(
        name=f"{view.name}_source",
        path=str(path),
        timestamp_field=view.timestamp,
        created_timestamp_column=view.created or "",
        field_mapping=renamed,
    )
    types = {name: view.types[source] for source, name in (*view.keys.items(), *view.features.items())}
    declared = FeatureView(
        name=view.name,
        entities=[declared_key(key) for key in view.keys.values()],
        schema=[Field(name=name, dtype=feast_type(type_)) for name, type_ in types.items()],
        source=source,
        ttl=timedelta(microseconds=view.ttl_us or 0),
    )
    if view.asked_as:
        declared = declared.with_name(view.asked_as)
    return declared.with_join_key_map(dict(view.aliases)) if view.aliases else declared


def entity_rows(case: Case, folder: Path) -> Any:
    """The entity rows in the form that the case names."""
    whole = table(case.rows, dict(case.types))
    if case.given_as == "pandas":
        return whole.to_pandas(integer_object_nulls=True)
    if case.given_as == "pandas-arrow":
        import pandas as pd

        return whole.to_pandas(types_mapper=pd.ArrowDtype)
    if case.given_as == "polars":
        import polars as pl

        return pl.from_arrow(whole)
    if case.given_as == "reader":
        return whole.to_reader(max_chunksize=2)
    if case.given_as == "arrow":
        return whole
    path = folder / f"entity_{next(_serial)}.parquet"
    pq.write_table(whole, path)
    return str(path) if case.given_as == "parquet" else f"select * from read_parquet('{path}')"


@dataclass(frozen=True)
class World:
    """A store to ask. `store` is an empty Feast repository that names it."""

    store: FeatureStore
    offline: type[OfflineStore]
    folder: Path

    @property
    def config(self) -> RepoConfig:
        return self.store.config

    def ask(self, case: Case) -> RetrievalJob:
        """The request as Feast's provider makes it, without registering anything."""
        views = [feature_view(view, write(view, self.folder)) for view in case.views]
        extras = {"filter_by_created_timestamp": True} if case.cutoff else {}
        return self.offline.get_historical_features(
            config=self.config,
            feature_views=views,
            feature_refs=references(case),
            entity_df=entity_rows(case, self.folder),
            registry=self.store.registry,
            project=self.store.project,
            full_feature_names=case.full_names,
            **extras,
        )

    def ask_whole(self, case: Case) -> RetrievalJob:
        """The same through `apply` and `FeatureStore.get_historical_features`, a service where views have aliases."""
        return self.ask_with(case, entity_rows(case, self.folder))

    def ask_with(self, case: Case, entity: Any) -> RetrievalJob:
        """The whole way, with entity rows as the caller made them."""
        paths = {view.name: write(view, self.folder) for view in case.views}
        views = [feature_view(view, paths[view.name]) for view in case.views]
        plain = {
            view.name: feature_view(replace(view, asked_as=None, aliases={}), paths[view.name]) for view in case.views
        }
        keys = {key: declared_key(key) for view in case.views for key in view.keys.values()}
        service = FeatureService(name=f"service_{next(_serial)}", features=views)
        made = [*keys.values(), *plain.values(), service]
        self.store.apply(made)
        aliased = any(view.asked_as for view in case.views)
        job = self.store.get_historical_features(
            entity_df=entity,
            features=self.store.get_feature_service(service.name) if aliased else references(case),
            full_feature_names=case.full_names,
            filter_by_created_timestamp=case.cutoff,
        )
        self.store.apply([], objects_to_delete=[service, *plain.values(), *keys.values()], partial=False)
        return job


def references(case: Case) -> list[str]:
    return [f"{view.label}:{feature}" for view in case.views for feature in view.features.values()]


def complaints(case: Case, found: pa.Table) -> Iterator[str]:
    """What is wrong with an answer: its rows and their order, its columns, its types, its values."""
    columns = [*case.types, *(case.output(view, f) for view in case.views for f in view.features.values())]
    if found.column_names != columns:
        yield f"columns {found.column_names}, not {columns}"
        return
    if found.num_rows != len(case.rows):
        yield f"{found.num_rows} rows, not {len(case.rows)}"
        return
    for name in case.types:
        if name != case.timestamp and not same(found[name].to_pylist(), [row[name] for row in case.rows]):
            yield f"entity column {name}: {found[name].to_pylist()}, not {[row[name] for row in case.rows]}"
    for view in case.views:
        yield from wrong_values(case, view, found)


def wrong_values(case: Case, view: View, found: pa.Table) -> Iterator[str]:
    got: dict[str, list[Any]] = {}
    for source, feature in view.features.items():
        values = found[case.output(view, feature)]
        if values.type != view.types[source]:
            yield f"{view.label}:{feature} is {values.type}, not {view.types[source]}"
        stamped = pa.types.is_timestamp(values.type)
        got[feature] = (
            values.cast(pa.timestamp("us", values.type.tz)).cast(pa.int64()) if stamped else values
        ).to_pylist()
    for n, asked in enumerate(case.rows):
        mine = {feature: values[n] for feature, values in got.items()}
        right = answers(asked, view, case)
        if not any(all(same(mine[feature], one[feature]) for feature in mine) for one in right):
            yield f"row {n} {asked}, view {view.label}: {mine}, not {' or '.join(map(str, right))}"
