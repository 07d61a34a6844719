"""Which key types can be compared, and as what: integers, decimals, floats, text, bytes, booleans, points in time."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.types as pt

from boxplat.features.join.refusals import no_comparison
from boxplat.features.join.times import micros

_NUMBERS = ("int", "decimal", "float")


@dataclass(frozen=True)
class Common:
    """The form in which both sides of a key are compared: `kind`, and for decimals the digits after the point."""

    kind: str
    scale: int = 0


def family(kind: pa.DataType) -> str:
    """The family of a key type; the type's own name where it has none."""
    if pt.is_dictionary(kind):
        return family(kind.value_type)
    tests = {
        "int": pt.is_integer,
        "decimal": pt.is_decimal,
        "float": pt.is_floating,
        "bool": pt.is_boolean,
        "null": pt.is_null,
        "time": lambda t: pt.is_timestamp(t) or pt.is_date(t),
        "text": lambda t: pt.is_string(t) or pt.is_large_string(t) or pt.is_string_view(t),
        "bytes": lambda t: (
            pt.is_binary(t) or pt.is_large_binary(t) or pt.is_fixed_size_binary(t) or pt.is_binary_view(t)
        ),
    }
    return next((name for name, test in tests.items() if test(kind)), str(kind))


def common(view: str, entity: tuple[str, pa.DataType], source: tuple[str, pa.DataType]) -> Common:
    """How a key of the entity rows and one of a source are compared; each side as (column, type).

    Raises:
        BoxError: they cannot be.
    """
    here, there = family(entity[1]), family(source[1])
    if here == "null" or there == "null":
        return Common("null")
    if here in _NUMBERS and there in _NUMBERS:
        return _number({here, there}, entity[1], source[1])
    if here != there:
        raise no_comparison(view, entity, source)
    return Common(here)


def _number(families: set[str], entity: pa.DataType, source: pa.DataType) -> Common:
    if ("decimal" in families and "float" not in families) or pa.uint64() in (entity, source):
        scales = [kind.scale for kind in (entity, source) if pt.is_decimal(kind)]
        return Common("decimal", max(scales, default=0))
    if "int" in families:
        return Common("int")
    return Common("float")


def expression(column: str, kind: pa.DataType, form: Common) -> str:
    """SQL for a key (`column` is already quoted) in its compared form; NULL where it can equal nothing."""
    own = family(kind)
    if form.kind == "int" and own == "float":
        return f"CASE WHEN {column} = trunc({column}) AND abs({column}) < 9.2e18 THEN CAST({column} AS BIGINT) END"
    simple = {
        "int": f"CAST({column} AS BIGINT)",
        "decimal": f"TRY_CAST({column} AS DECIMAL(38, {form.scale}))",
        "float": f"CASE WHEN NOT isnan(CAST({column} AS DOUBLE)) THEN CAST({column} AS DOUBLE) + 0.0 END",
        "text": f"CAST({column} AS VARCHAR)",
        "null": "CAST(NULL AS INTEGER)",
    }
    return micros(column, kind) if form.kind == "time" else simple.get(form.kind, column)
