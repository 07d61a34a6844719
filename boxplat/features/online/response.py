"""An answer that stays in columns until somebody asks for Feast's messages. Imports Feast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from feast.online_response import TIMESTAMP_POSTFIX, OnlineResponse
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus, GetOnlineFeaturesResponse
from feast.protos.feast.types.Value_pb2 import Value
from feast.torch_wrapper import get_torch
from feast.type_map import python_values_to_proto_values
from feast.value_type import ValueType
from google.protobuf.timestamp_pb2 import Timestamp

from boxplat.features.online.request import Part, Plan
from boxplat.features.online.values import messages
from boxplat.features.rows.kinds import kind_of

if TYPE_CHECKING:
    from boxplat.features.rows import Rows

_SECOND = 1_000_000


class BoxOnlineResponse(OnlineResponse):
    """Feast's response over columns: the keys as they came, then each view's fields.

    Args:
        plan: what was asked.
        keys: [N] values by column, those which the answer gives back.
        found: the views' rows, one for each of the plan's parts.
        full: names are `view__feature`.
        versions: the messages tell the views' versions.
    """

    def __init__(
        self, plan: Plan, keys: Mapping[str, Sequence[Any]], found: Sequence[Rows], full: bool, versions: bool
    ) -> None:
        self._plan = plan
        self._keys = keys
        self._found = found
        self._full = full
        self._versions = versions

    @cached_property
    def proto(self) -> GetOnlineFeaturesResponse:  # type: ignore[override]
        """The response as Feast's own message, made when it is first asked for."""
        response = GetOnlineFeaturesResponse()
        response.metadata.feature_names.val.extend(self._keys)
        for name, values in self._keys.items():
            response.results.append(_given(values, self._plan.types.get(name)))
        for part, rows in zip(self._plan.parts, self._found, strict=True):
            append(response, part, rows, self._full)
        for name, version in dict(self._plan.versions).items() if self._versions else ():
            response.metadata.feature_view_metadata.add(name=name, version=version)
        return response

    def to_dict(self, include_event_timestamps: bool = False) -> dict[str, Any]:
        """Lists of Python values by name; with event timestamps, seconds since the epoch by `name__ts`."""
        answer: dict[str, Any] = {}
        for name, values in self._keys.items():
            answer[name] = list(values)
            if include_event_timestamps:
                answer[name + TIMESTAMP_POSTFIX] = [0] * len(values)
        for name, field, rows in self._fields():
            answer[name] = rows.python(field)
            if include_event_timestamps:
                answer[name + TIMESTAMP_POSTFIX] = (rows.event_us // _SECOND).tolist()
        return answer

    def to_arrow(self, include_event_timestamps: bool = False) -> pa.Table:
        """A table of the declared types; with event timestamps, seconds since the epoch by `name__ts`."""
        columns: dict[str, pa.Array] = {}
        for name, values in self._keys.items():
            kind = kind_of(self._plan.types[name]) if name in self._plan.types else None
            columns[name] = pa.array(values, kind.arrow if kind else None)
            if include_event_timestamps:
                columns[name + TIMESTAMP_POSTFIX] = pa.array(np.zeros(len(values), np.int64))
        for name, field, rows in self._fields():
            columns[name] = rows.arrow(field)
            if include_event_timestamps:
                columns[name + TIMESTAMP_POSTFIX] = pa.array(rows.event_us // _SECOND)
        return pa.table(columns)

    def to_tensor(self, kind: str = "torch", default_value: Any = float("nan")) -> dict[str, Any]:
        """Tensors of numbers and truth values, lists of anything else; `default_value` where there is none."""
        if kind != "torch":
            raise ValueError(f"Unsupported tensor kind: {kind}. Only 'torch' is supported currently.")
        torch: Any = get_torch()  # type: ignore[no-untyped-call]
        device = "cuda" if torch.cuda.is_available() else "cpu"
        tensors: dict[str, Any] = {}
        for name, values in self.to_dict().items():
            sample = next((value for value in values if value is not None), default_value)
            filled = [default_value if value is None else value for value in values]
            tensors[name] = torch.tensor(filled, device=device) if isinstance(sample, int | float) else filled
        return tensors

    def _fields(self) -> Iterator[tuple[str, str, Rows]]:
        for name, (part, field) in (self._plan.full_names if self._full else self._plan.short_names).items():
            yield name, field, self._found[part]


def append(response: GetOnlineFeaturesResponse, part: Part, rows: Rows, full: bool) -> None:
    """Add a view's fields to a response message, as Feast lays them out."""
    stamps = _stamps(rows.event_us)
    types = {field.name: field.type for field in part.view.fields}
    for name, field in part.names(full):
        response.metadata.feature_names.val.append(name)
        response.results.add(
            values=stored_messages(rows, field, types[field]),
            statuses=rows.statuses(field).tolist(),
            event_timestamps=stamps,
        )


def stored_messages(rows: Rows, field: str, type_: str) -> list[Value]:
    """[N] one field of the rows found as Feast's messages, empty ones where there is no value."""
    nested = kind_of(type_).family in ("nested", "zoned")
    return messages(rows.python(field) if nested else rows.arrow(field).to_pylist(), type_)


def _stamps(event_us: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[Timestamp]:
    return [Timestamp(seconds=us // _SECOND, nanos=us % _SECOND * 1000) for us in event_us.tolist()]


def _given(values: Sequence[Any], type_: str | None) -> GetOnlineFeaturesResponse.FeatureVector:
    """A column of the request as a result: present, and of no time."""
    count = len(values)
    return GetOnlineFeaturesResponse.FeatureVector(
        values=python_values_to_proto_values(list(values), ValueType[type_] if type_ else ValueType.UNKNOWN),
        statuses=[FieldStatus.PRESENT] * count,
        event_timestamps=[Timestamp()] * count,
    )
