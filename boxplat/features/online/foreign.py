"""Columnar reads answered by Feast: other online stores than boxplat's, and on-demand views. Imports Feast."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
from feast import FeatureService, FeatureStore, utils
from feast.errors import FeastObjectNotFoundException, FeatureServiceNotFoundException
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type
from feast.value_type import ValueType

from boxplat.core.errors import not_found
from boxplat.features.online import keys, values
from boxplat.features.online.answer import Answer, Found
from boxplat.features.online.request import Moment
from boxplat.features.online.resolve import references
from boxplat.features.online.views import life_time_us

_SECOND = 1_000_000
_FIX = "box features apply"
_EMPTY = Value()
Vector = GetOnlineFeaturesResponse.FeatureVector


class FeastReader:
    """A columnar reader over Feast's own `FeatureStore`, with the same answers as the reader without it.

    Life times are enforced here, since few of Feast's stores do.
    """

    def __init__(self, store: FeatureStore) -> None:
        self._store = store

    @classmethod
    def open(cls, repo: Path) -> Self:
        """The reader of a repository; a registry that cannot be read is found out now."""
        store = FeatureStore(repo_path=str(repo))
        _ = store.registry
        return cls(store)

    def read(
        self, features: str | Sequence[str], given: Any, *, full_feature_names: bool, now_us: Moment | None
    ) -> Answer:
        """N rows of features; see `boxplat.features.reader.Reader.read`."""
        wanted = self._wanted(features)
        fields = self._fields(wanted)
        columns, _ = keys.columns(given)
        response = self._store.get_online_features(
            wanted, {name: list(column) for name, column in columns.items()}, full_feature_names=True
        )
        vectors = dict(zip(response.proto.metadata.feature_names.val, response.proto.results, strict=True))
        moment: Moment = time.time_ns() // 1000 if now_us is None else now_us
        names: dict[str, tuple[int, str]] = {}
        found: list[Found] = []
        for label, view, name, type_ in fields:
            # Feast names some on-demand features without their view, whatever it is asked for.
            vector = vectors.get(f"{label}__{name}") or vectors[name]
            names[f"{label}__{name}" if full_feature_names else name] = (len(found), name)
            found.append(VectorRows(vector, type_, life_time_us(view), moment))
        kept = {name: column for name, column in columns.items() if name in vectors}
        return Answer(kept, names, found, [label for label, *_ in fields], [moment] * len(found))

    def _wanted(self, features: str | Sequence[str]) -> FeatureService | list[str]:
        asked = references(features)
        if asked is not None:
            return asked
        try:
            return self._store.get_feature_service(str(features), allow_cache=True)
        except FeatureServiceNotFoundException:
            known = [service.name for service in self._store.list_feature_services()]
            raise not_found("feature service", str(features), known, _FIX) from None

    def _fields(self, wanted: FeatureService | list[str]) -> list[tuple[str, Any, str, str]]:
        """Of every feature asked for: its view's name in the answer, the view, its own name and type."""
        if isinstance(wanted, FeatureService):
            return [
                (_label(part), self._view(part.name), field.name, field.dtype.to_value_type().name)
                for part in wanted.feature_view_projections
                for field in part.features
            ]
        found = []
        for reference in wanted:
            name, version, feature = utils._parse_feature_ref(reference)
            view = self._view(name)
            types = {field.name: field.dtype.to_value_type().name for field in view.features}
            if feature not in types:
                raise not_found(f"feature of {name}", feature, types, _FIX)
            found.append((name if version is None else f"{name}@v{version}", view, feature, types[feature]))
        return found

    def _view(self, name: str) -> Any:
        try:
            return self._store.registry.get_any_feature_view(name, self._store.project, allow_cache=True)
        except FeastObjectNotFoundException:
            known = [view.name for view in self._store.list_all_feature_views()]
            raise not_found("feature view", name, known, _FIX) from None


def _label(projection: Any) -> str:
    return str(projection.name_to_use())


class VectorRows:
    """One column of a response message, with the face of `boxplat.features.rows.Rows`."""

    def __init__(self, vector: Vector, type_: str, ttl_us: int | None, now_us: Moment) -> None:
        self._type = type_
        self.event_us = np.array(
            [stamp.seconds * _SECOND + stamp.nanos // 1000 for stamp in vector.event_timestamps], np.int64
        )
        statuses = np.array(vector.statuses, np.uint8)
        present = statuses == FieldStatus.PRESENT
        if ttl_us is not None:
            statuses[present & (now_us - self.event_us > ttl_us)] = FieldStatus.OUTSIDE_MAX_AGE
        null = np.array([value.WhichOneof("val") is None for value in vector.values], bool)
        statuses[null & (statuses == FieldStatus.PRESENT)] = FieldStatus.NULL_VALUE
        self._statuses = statuses
        kept = statuses == FieldStatus.PRESENT
        self._values = [value if keep else _EMPTY for value, keep in zip(vector.values, kept.tolist(), strict=True)]

    def statuses(self, field: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """uint8 [N] of Feast's `FieldStatus`."""
        return self._statuses.copy()

    def python(self, field: str) -> list[Any]:
        """[N] Python values."""
        kind = ValueType[self._type]
        return [feast_value_type_to_python_type(value, kind) for value in self._values]

    def arrow(self, field: str) -> pa.Array:
        """[N] Arrow values of the declared type."""
        column = values.column(self._values, self._type)
        return column if isinstance(column, pa.Array) else pa.array(column)

    def numpy(self, field: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """[N] values, zero where there is none, and which there are."""
        valid = self._statuses == FieldStatus.PRESENT
        array = self.arrow(field)
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.timestamp("us"))
        if pa.types.is_primitive(array.type):
            if array.null_count:
                array = array.fill_null(pa.scalar(0).cast(array.type))
            return array.to_numpy(zero_copy_only=False), valid
        out = np.empty(len(array), object)
        out[:] = self.python(field)
        return out, valid
