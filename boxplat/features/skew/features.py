"""The features of a service, as the log and the offline store name and type them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxplat.features.database import quoted

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from feast import FeatureService, FeatureStore

_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT")
_FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Feature:
    """One feature. `number` tells its columns from those of others.

    Attributes:
        full: `view__feature`, its name in the recomputed table.
        logged: its name in the log.
        view: its view's name or alias.
        kind: DuckDB's type.
        stored: it comes from a source, not from a transformation.
    """

    number: int
    full: str
    logged: str
    view: str
    kind: str
    stored: bool

    @property
    def name(self) -> str:
        return self.full[len(self.view) + 2 :]

    def typed(self, text: str) -> str:
        """SQL: the logged text as a value of the feature's type; NULL for NaN and for what does not fit."""
        if self.kind in _FLOATS:
            value = f"try_cast({text} as DOUBLE)"
            return f"case when not isnan({value}) then {value} end"
        if self.kind in _WHOLE:
            # A cast would round.
            whole = f"strpos({text}, '.') = 0 or trunc(try_cast({text} as DOUBLE)) = try_cast({text} as DOUBLE)"
            return f"case when {whole} then try_cast({text} as {self.kind}) end"
        if self.kind.startswith("TIMESTAMP"):
            return f"try_cast({text} as BIGINT)"
        return text if self.kind in ("VARCHAR", "BLOB") else f"try_cast({text} as {self.kind})"

    def recomputed(self, value: str) -> str:
        """SQL: a value of the offline store in the form of `typed`."""
        if self.kind in _FLOATS:
            return f"case when not isnan({value}) then cast({value} as DOUBLE) end"
        if self.kind.startswith("TIMESTAMP"):
            return f"epoch_us({value})"
        return f"base64({value})" if self.kind == "BLOB" else f"cast({value} as {self.kind})"

    def differs(self, one: str, other: str, tolerance: float) -> str:
        """SQL: whether two values in the form of `typed` differ by more than the tolerance, a share of their size."""
        if not tolerance or self.kind not in (*_FLOATS, *_WHOLE):
            return f"({one} is distinct from {other})"
        return f"({one} is distinct from {other} and not {_near(one, other, tolerance)})"

    def rounded(self, one: str, other: str) -> str:
        """SQL: whether they differ no more than a 32-bit float, or another spelling, makes them."""
        if self.kind in (*_FLOATS, *_WHOLE):
            return _near(one, other, 1e-6)
        return f"coalesce(lower(trim({one})) = lower(trim({other})), false)" if self.kind == "VARCHAR" else "false"


def _near(one: str, other: str, share: float) -> str:
    """SQL: whether two numbers are finite, and apart by at most a share of their size."""
    # The difference of two whole numbers may be none of their type.
    a, b = (f"cast({value} as DOUBLE)" for value in (one, other))
    near = f"isfinite({a}) and isfinite({b}) and abs({a} - {b}) <= {share!r} * greatest(abs({a}), abs({b}))"
    return f"coalesce({near}, false)"


@dataclass(frozen=True)
class Wanted:
    """A service as it is compared.

    Attributes:
        service: with what the log cannot tell left out.
        keys: DuckDB's type by column of the entity rows.
        ages: numbers by view: those whose age is logged.
        unlogged: features that no logged prediction names.
        foreign: names in the log that are no features of the service.
    """

    service: FeatureService
    features: tuple[Feature, ...]
    keys: Mapping[str, str]
    ages: Mapping[str, int]
    unlogged: tuple[str, ...]
    foreign: tuple[str, ...]

    def views(self) -> dict[str, list[Feature]]:
        """Features by view."""
        found: dict[str, list[Feature]] = {}
        for feature in self.features:
            found.setdefault(feature.view, []).append(feature)
        return found


@dataclass(frozen=True)
class Names:
    """Names that the log's predictions have among their keys, features and ages."""

    keys: Collection[str]
    features: Collection[str]
    ages: Collection[str]


def wanted(con: DuckDBPyConnection, store: FeatureStore, service: FeatureService, names: Names) -> Wanted:
    """What of a service can be compared with a log.

    Args:
        names: what the log has.
    """
    from feast import FeatureService

    every = {view.name: view for view in store.list_all_feature_views()}
    features: list[Feature] = []
    kept, unlogged, keys, foreign = [], [], dict[str, str](), set(names.features)
    for part in service.feature_view_projections:
        view, alias = every[part.name], str(part.name_to_use())  # type: ignore[no-untyped-call]
        needed = dict(_needed(con, view, part, every))
        foreign -= {name for field in part.features for name in (field.name, f"{alias}__{field.name}")}
        found = [(_logged(field.name, alias, names), field) for field in part.features]
        if not needed.keys() <= set(names.keys):
            found = [("", field) for _, field in found]
        unlogged += [f"{alias}__{field.name}" for logged, field in found if not logged]
        if any(logged for logged, _ in found):
            kept.append(part)
            keys |= needed
        is_stored = getattr(view, "batch_source", None) is not None
        for logged, field in found:
            if logged:
                kind = _kind(con, field.dtype)
                features.append(Feature(len(features), f"{alias}__{field.name}", logged, alias, kind, is_stored))
    trimmed = FeatureService(name=service.name, features=[])
    trimmed.feature_view_projections = kept
    views = dict.fromkeys(feature.view for feature in features)
    ages = {view: number for number, view in enumerate(views) if view in names.ages}
    return Wanted(trimmed, tuple(features), keys, ages, tuple(unlogged), tuple(sorted(foreign)))


def _logged(name: str, alias: str, names: Names) -> str:
    """The name that a feature has in the log; empty: it is not there."""
    return next((one for one in (f"{alias}__{name}", name) if one in names.features), "")


def _needed(con: DuckDBPyConnection, view: Any, part: Any, every: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Columns that the entity rows need for a view, with DuckDB's types: join keys, and what comes with the request."""
    from feast.feature_view import DUMMY_ENTITY_ID

    for request in getattr(view, "source_request_sources", {}).values():
        yield from ((field.name, _kind(con, field.dtype)) for field in request.schema)
    for base in getattr(view, "source_feature_view_projections", {}).values():
        yield from _needed(con, every[base.name], base, every)
    for column in getattr(view, "entity_columns", ()):
        if column.name != DUMMY_ENTITY_ID:
            yield part.join_key_map.get(column.name, column.name), _kind(con, column.dtype)


def _kind(con: DuckDBPyConnection, dtype: Any) -> str:
    """DuckDB's name of a Feast type."""
    import pyarrow as pa
    from feast.types import from_feast_to_pyarrow_type

    con.register("one_column", pa.table({"column": pa.nulls(0, from_feast_to_pyarrow_type(dtype))}))
    (row,) = con.execute("describe select * from one_column").fetchall()
    con.unregister("one_column")
    return str(row[1])


def named(keys: Mapping[str, str], prefix: str = "") -> str:
    """Key columns, for a SELECT."""
    return ", ".join(prefix + quoted(name) for name in keys)
