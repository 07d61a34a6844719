"""What a request takes from each feature view, in the names of its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.core.errors import BoxError, ExitCode
from boxplat.features.offline.entity import Rows
from boxplat.features.offline.source import Source
from boxplat.features.offline.times import instant

if TYPE_CHECKING:
    from feast.data_source import DataSource
    from feast.feature_view import FeatureView

    from boxplat.features.join import History

# How DuckDB's and Feast's types of single numbers are called.
_WHOLE = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_NUMBERS = _WHOLE | {f"U{name}" for name in _WHOLE} | {"FLOAT", "DOUBLE", "DECIMAL", "BOOLEAN", '"NULL"'}
_DECLARED = ("Int32", "Int64", "Float32", "Float64")


@dataclass(frozen=True)
class Needed:
    """One feature view's share of a request.

    Attributes:
        name: the view's name or alias in the request.
        keys: (name in the view, column of the entity rows), in the view's order; none: a view without entities.
        features: (feature, column of the result).
        ttl_us: life time in microseconds; None: without end.
        numbers: the features that are declared as numbers.
    """

    name: str
    source: DataSource
    keys: tuple[tuple[str, str], ...]
    features: tuple[tuple[str, str], ...]
    ttl_us: int | None
    numbers: frozenset[str]

    def history(self, found: Source) -> History:
        """The view's share as the join takes it.

        Raises:
            BoxError: the source lacks a column that the definitions name, or has text where they say numbers, or no
                times where they say times (exit code 2).
        """
        from boxplat.features.join import History

        mapping = dict(self.source.field_mapping or {})
        created = self.source.created_timestamp_column
        return History(
            name=self.name,
            files=found.files,
            query=None if found.files else f"SELECT * FROM {found.relation}",
            keys=tuple((found.column(name, f"join key of {self.name}", mapping), column) for name, column in self.keys),
            timestamp=self._time(found, self.source.timestamp_field, "event time"),
            created=self._time(found, created, "created time") if created else None,
            features=tuple((self._feature(found, name), column) for name, column in self.features),
            ttl_us=self.ttl_us,
        )

    def _time(self, found: Source, name: str, role: str) -> str:
        column = found.column(name, f"{role} of {self.name}", dict(self.source.field_mapping or {}))
        instant(found, column)
        return column

    def _feature(self, found: Source, name: str) -> str:
        column = found.column(name, f"feature of {self.name}", dict(self.source.field_mapping or {}))
        kind = found.types[column]
        if name in self.numbers and re.sub(r"\(\d+,\d+\)$", "", kind) not in _NUMBERS:
            raise BoxError(
                f"feature {name!r} of {self.name} is declared as a number, but {column!r} in {found.name} is {kind}",
                why="a model would be trained on one type and served another",
                fix=f"correct the type of {name!r} in {self.name}, or write numbers; then: box features apply",
                code=ExitCode.USAGE,
            )
        return column


def needed(views: Sequence[FeatureView], references: Sequence[str], full_names: bool) -> list[Needed]:
    """Split a request's references by view.

    Raises:
        BoxError: a view without a source, or an unknown feature (exit codes 2 and 9).
    """
    from feast.utils import _get_requested_feature_views_to_features_dict

    stored = {view.projection.name_to_use() for view in views}  # type: ignore[no-untyped-call]
    mine = [reference for reference in references if reference.rsplit(":", 1)[0] in stored]
    wanted, _ = _get_requested_feature_views_to_features_dict(mine, list(views), [])
    return [_needed(view, list(dict.fromkeys(names)), full_names) for view, names in wanted.items()]


def check(shares: Sequence[Needed], entity: Rows) -> None:
    """Raises BoxError where result columns would collide, or the entity rows lack a key (exit code 2)."""
    taken = {name: "a column of the entity rows" for name in entity.types}
    for share in shares:
        entity.require([column for _, column in share.keys], f"view {share.name} is joined by it")
        for _, column in share.features:
            if column in taken:
                raise BoxError(
                    f"the result would have two columns {column!r}",
                    why=f"it is a feature of {share.name} and {taken[column]}",
                    fix="call with full_feature_names=True, or rename the column of the entity rows",
                    code=ExitCode.USAGE,
                )
            taken[column] = f"a feature of {share.name}"


def _needed(view: FeatureView, features: list[str], full_names: bool) -> Needed:
    from feast.feature_view import DUMMY_ENTITY_ID

    aliases = view.projection.join_key_map or {}
    keys = [field.name for field in view.entity_columns if field.name != DUMMY_ENTITY_ID]
    prefix = f"{view.projection.name_alias or view.name}__" if full_names else ""
    return Needed(
        name=str(view.projection.name_to_use()),  # type: ignore[no-untyped-call]
        source=history_of(view),
        keys=tuple((key, aliases.get(key, key)) for key in keys),
        features=tuple((feature, prefix + feature) for feature in features),
        numbers=frozenset(field.name for field in view.features if str(field.dtype) in _DECLARED),
        ttl_us=round(view.ttl.total_seconds() * 1_000_000) or None if view.ttl else None,
    )


def history_of(view: FeatureView) -> DataSource:
    """The source that a view's rows are kept in, also where they are pushed or come from a stream.

    Raises:
        BoxError: there is none (exit code 2).
    """
    found: Any = view.batch_source
    found = getattr(found, "batch_source", None) or found
    if found is None:
        raise BoxError(
            f"feature view {view.name} has no history",
            why="it has no batch source",
            fix=f"give {view.name} a source with files, then: box features apply",
            code=ExitCode.USAGE,
        )
    source: DataSource = found
    return source
