"""Random requests: few keys and few moments, so that ties, duplicates, edges of a time to live and nulls are common."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa

from tests.features.oracle.model import Case, Row, View

SECOND, DAY = 1_000_000, 86_400_000_000
EPOCH = 1_772_323_200 * SECOND  # 2026-03-01T00:00:00Z: the clocks change within a month, there and here
BIG = 2**53 + 1

KEYS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "small": (pa.int64(), [1, 2, 3, 11]),
    "int32": (pa.int32(), [1, 2, 11, -(2**31), 2**31 - 1]),
    "negative": (pa.int64(), [-5, -1, 0, 7]),
    "huge": (pa.int64(), [BIG, BIG - 1, BIG + 1, -(2**63), 2**63 - 1]),
    "string": (pa.string(), ["1", "11", "", "é", "a'b", 'a"b', "A", "a"]),
    "bool": (pa.bool_(), [True, False]),
    "decimal": (pa.decimal128(20, 2), [Decimal("1.00"), Decimal("1.01"), Decimal("-7.50")]),
}
Draw = Callable[[random.Random], Any]
VALUES: dict[str, tuple[pa.DataType, Draw]] = {
    "int64": (pa.int64(), lambda r: r.choice([0, BIG, -BIG, 2**63 - 1, r.randrange(100)])),
    "int32": (pa.int32(), lambda r: r.randrange(-(2**31), 2**31)),
    "double": (pa.float64(), lambda r: r.choice([float("nan"), float("inf"), 0.1, r.random()])),
    "float": (pa.float32(), lambda r: r.randrange(1 << 20) / 8),
    "bool": (pa.bool_(), lambda r: r.random() < 0.5),
    "string": (pa.string(), lambda r: r.choice(["", "x", "naïve", "NULL", "long " * 9])),
    "binary": (pa.binary(), lambda r: r.randbytes(r.randrange(4))),
    "time": (pa.timestamp("us", "UTC"), lambda r: EPOCH + r.randrange(DAY)),
    "decimal": (pa.decimal128(30, 4), lambda r: Decimal(r.randrange(-(10**25), 10**25)).scaleb(-4)),
    "ints": (pa.list_(pa.int64()), lambda r: [r.choice([BIG, 1, 2]) for _ in range(r.randrange(4))]),
    "strings": (pa.list_(pa.string()), lambda r: [r.choice(["a", "", "b"]) for _ in range(r.randrange(3))]),
}
NAMES = [
    "f",
    "g_y",
    "Wind",
    "select",
    "two words",
    'quo"te',
    "it's",
    "created_y",
    "rn",
    "rid",
    "key_1",
    "ünï",
    "_0",
    "t",
]
TTLS = [None, 0, 1, 5 * SECOND, 3_600 * SECOND, 7 * DAY]
GIVEN = ["pandas", "pandas", "pandas-arrow", "arrow", "polars", "reader", "parquet", "sql"]
ENTITY_TIMES: list[pa.DataType] = [
    pa.timestamp("us", "UTC"),
    pa.timestamp("us", "UTC"),
    pa.timestamp("us"),
    pa.timestamp("ns"),
    pa.timestamp("ns", "America/New_York"),
    pa.timestamp("ms", "Europe/Berlin"),
    pa.string(),
]
SOURCE_TIMES = [pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.timestamp("ms", "UTC"), pa.timestamp("ns")]


def moments(r: random.Random, ttls: list[int]) -> list[int]:
    """A few moments, and those just before, at and after each time to live beyond them; whole milliseconds at times."""
    grain = r.choice([1, 1000])
    anchors = [EPOCH + r.choice([0, r.randrange(60 * DAY)]) // grain * grain for _ in range(r.randint(1, 4))]
    near = [a - ttl // grain * grain + d * grain for a in anchors for ttl in ttls for d in (-1, 0, 1)]
    return anchors + near


def whole(moments_: list[int]) -> bool:
    return all(moment % 1000 == 0 for moment in moments_)


def generate(seed: int, most_rows: int = 12, aliases: bool = True) -> Case:
    """A case from a seed."""
    r = random.Random(seed)
    names = r.sample(sorted(KEYS), r.randint(1, 3))
    keys = {f"k{n}": (KEYS[name][0], some(r, KEYS[name][1])) for n, name in enumerate(names)}
    ttls = [r.choice(TTLS) for _ in range(r.randint(1, 3))]
    times = moments(r, sorted({ttl or 0 for ttl in ttls}))
    features = r.sample(NAMES, len(NAMES))
    views = []
    for n, ttl in enumerate(ttls):
        used = r.sample(sorted(keys), r.choice([0, 1, 1, 1, len(keys), len(keys)]))
        mine = [features.pop() for _ in range(r.randint(1, 4))]
        views.append(view(r, f"view{n}", {key: keys[key] for key in used}, mine, ttl, times, most_rows))
    case = Case({}, [], views, cutoff=r.random() < 0.2, full_names=r.random() < 0.3, given_as=r.choice(GIVEN))
    case = with_aliases(r, case) if aliases and r.random() < 0.25 else case
    return with_entity_rows(r, case, keys, times, most_rows)


def view(
    r: random.Random,
    name: str,
    keys: dict[str, tuple[pa.DataType, list[Any]]],
    features: list[str],
    ttl: int | None,
    times: list[int],
    most_rows: int,
) -> View:
    """A history; its columns may have other names in the files than in the view."""
    stamp = r.choice([type_ for type_ in SOURCE_TIMES if type_.unit != "ms" or whole(times)])
    renamed = r.random() < 0.3
    created = r.choice([None, "created", "created"])
    named = {f"src {key}" if renamed else key: key for key in keys}
    drawn = {f"src {feature}" if renamed else feature: r.choice(sorted(VALUES)) for feature in features}
    types = {source: source_type(r, keys[key][0]) for source, key in named.items()} | {"event_timestamp": stamp}
    types |= {created: stamp} if created else {}
    types |= {source: VALUES[kind][0] for source, kind in drawn.items()}
    rows = []
    for _ in range(r.choice([0, 1, 2, most_rows, most_rows])):
        row: Row = {source: nullable(r, r.choice(keys[key][1])) for source, key in named.items()}
        row["event_timestamp"] = nullable(r, r.choice(times), 0.02)
        if created:
            row[created] = nullable(r, r.choice(times), 0.15)
        row |= {source: nullable(r, VALUES[kind][1](r), 0.15) for source, kind in drawn.items()}
        rows.append(row)
    if r.random() < 0.5:
        rows.sort(key=lambda row: row["event_timestamp"] or 0)
    found = {source: source.removeprefix("src ") for source in drawn}
    return View(name, named, found, types, rows, ttl, created=created, parts=r.choice([1, 1, 1, 2, 3]))


def some(r: random.Random, values: list[Any]) -> list[Any]:
    """Few enough that entity rows meet a history."""
    return r.sample(values, min(len(values), r.randint(1, 3)))


def nullable(r: random.Random, value: Any, share: float = 0.05) -> Any:
    return None if r.random() < share else value


def source_type(r: random.Random, type_: pa.DataType) -> pa.DataType:
    """Histories and entity rows may write the same integers in different widths."""
    return r.choice([pa.int32(), pa.int64()]) if pa.types.is_int32(type_) else type_


def with_aliases(r: random.Random, case: Case) -> Case:
    """One view asked for under two names, each with join keys of its own."""
    first = case.views[0]
    if not first.keys:
        return case
    twins = [
        replace(first, asked_as=f"{first.name}_{side}", aliases={key: f"{side}_{key}" for key in first.keys.values()})
        for side in ("from", "to")
    ]
    return replace(case, views=[*twins, *case.views[1:]], full_names=True)


def with_entity_rows(
    r: random.Random, case: Case, keys: dict[str, tuple[pa.DataType, list[Any]]], times: list[int], most_rows: int
) -> Case:
    """Entity rows with every join key that the views need, some of them twice."""
    needed = {
        view.entity_column(source): (keys[key][0], keys[key][1])
        for view in case.views
        for source, key in view.keys.items()
    }
    stamps = [t for t in ENTITY_TIMES if not pa.types.is_timestamp(t) or t.unit != "ms" or whole(times)]
    types = {"row": pa.int64()} | {name: source_type(r, type_) for name, (type_, _) in needed.items()}
    types |= {"event_timestamp": r.choice(stamps), "label": pa.string()}
    rows: list[Row] = []
    for n in range(r.choice([0, 1, 2, most_rows, most_rows])):
        again = rows and r.random() < 0.1
        row = dict(r.choice(rows)) if again else {name: nullable(r, r.choice(v)) for name, (_, v) in needed.items()}
        rows.append(
            row | {"row": n, "event_timestamp": row.get("event_timestamp") or r.choice(times), "label": f"l{n}"}
        )
    ordered = [{name: row[name] for name in types} for row in rows]
    return replace(case, types=types, rows=ordered)
