"""Feature views, their features and what was last done to them, as rows and lines. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from boxplat_tui.format import NONE, age, figure, percent, plural, share, span
from boxplat_tui.glyphs import Cell
from boxplat_tui.widgets.plots import spark
from boxplat_tui.widgets.table import Column, Row

Lines = Iterator[tuple[Cell, ...]]
Values = Mapping[str, Any]

VIEWS = (
    Column("VIEW"),
    Column("STATE", 12),
    Column("AGE", 5, right=True),
    Column("OF TTL", 8, from_width=64),
    Column("TTL", 5, right=True),
    Column("ROWS", 9, right=True),
    Column("BROUGHT", 8, right=True, from_width=90),
    Column("FEATURES", 8, right=True, from_width=100),
    Column("KEYS", 20, from_width=118),
    Column("SOURCE", 40, from_width=150),
    # Hardly ever drawn, but a filter finds a view by them.
    Column("HOLDS", 40, from_width=200),
)
_LIFE = 8
# From this share of its life time on, a view is soon stale.
_SOON = 0.8


def seconds(moment: str | None) -> float | None:
    """An ISO time as seconds since the epoch."""
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def views(found: Sequence[Values], now: float) -> list[Row]:
    """A row a view."""
    return [_view(view, now) for view in found]


def _view(view: Values, now: float) -> Row:
    lag, ttl, rows = view.get("lag_seconds"), view["ttl_seconds"], view.get("rows")
    loaded = seconds(view.get("materialized_at"))
    keys = ", ".join(key["name"] for key in view["keys"])
    holds = ", ".join(feature["name"] for feature in view["features"])
    return Row(
        view["view"],
        (
            Cell(view["view"], "strong"),
            state(view),
            Cell(span(lag), "bad" if view.get("stale") else ""),
            life(lag, ttl),
            Cell(span(ttl) if ttl else "ever" if view["online"] else NONE, "muted"),
            Cell(NONE if rows is None else f"{rows:,}", "" if rows else "muted"),
            Cell(age(loaded, now).removesuffix(" ago"), "muted"),
            Cell(str(len(view["features"])), "muted"),
            Cell(keys or NONE, "muted"),
            Cell(view["source"] or NONE, "muted"),
            Cell(holds, "muted"),
        ),
        (
            view["view"],
            state(view).text,
            lag,
            lag / ttl if lag is not None and ttl else None,
            ttl,
            rows,
            loaded,
            len(view["features"]),
            keys,
            view["source"],
            holds,
        ),
    )


def state(view: Values) -> Cell:
    """How a view stands, as glyph and word."""
    if view["closed"]:
        return Cell("✗ closed", "bad")
    if view["on_demand"]:
        return Cell("◌ on demand", "muted")
    if not view["online"]:
        return Cell("○ not known" if view["online"] is None else "○ not online", "muted")
    if not view["rows"]:
        return Cell("○ empty", "warn")
    return Cell("▲ stale", "warn") if view["stale"] else Cell("● fresh", "ok")


def life(lag: float | None, ttl: float | None) -> Cell:
    """How much of its life time has passed, as a bar."""
    if lag is None or not ttl:
        return Cell(NONE, "muted")
    used = share(lag, ttl)
    full = max(round(used * _LIFE), 1) if used > 0 else 0
    return Cell("━" * full + "─" * (_LIFE - full), "bad" if lag > ttl else "warn" if used > _SOON else "ok")


FEATURES = (
    Column("FEATURE"),
    Column("TYPE", 9, from_width=64),
    Column("NULLS", 6, right=True),
    Column("MINIMUM", 9, right=True, from_width=88),
    Column("MEDIAN", 9, right=True),
    Column("MAXIMUM", 9, right=True, from_width=88),
    Column("VALUES", 15),
)
_SPARK = 15


def features(view: Values, shown: Values) -> list[Row]:
    """A row a feature, with what is known of its values."""
    known = {one["name"]: one for one in shown.get("features", ())}
    return [_feature(one, known.get(one["name"], {})) for one in view["features"]]


def _feature(declared: Values, found: Values) -> Row:
    values = found.get("distribution") or {}
    nulls = share(values["nulls"], values["rows"]) if values else None
    median, commonest = (values.get("quantiles") or {}).get("0.5"), [text for text, _ in values.get("top", ())][:1]
    middle = Cell(commonest[0], "muted") if commonest else Cell(number(values, median))
    return Row(
        declared["name"],
        (
            Cell(declared["name"], "strong"),
            Cell(declared["type"].lower() or NONE, "muted"),
            Cell(percent(nulls), "warn" if nulls else "muted"),
            Cell(number(values, values.get("minimum")), "muted"),
            middle,
            Cell(number(values, values.get("maximum")), "muted"),
            Cell(small(values), "accent"),
        ),
        (
            declared["name"],
            declared["type"],
            nulls,
            values.get("minimum"),
            median,
            values.get("maximum"),
            values.get("distinct"),
        ),
    )


def number(values: Values, value: float | None) -> str:
    """A value in its kind: a time as a date, anything else in few digits."""
    if value is not None and values.get("kind") == "time":
        return datetime.fromtimestamp(value).strftime("%Y-%m-%d")
    return figure(value)


def small(values: Values) -> str:
    """The histogram, or the commonest values, in one line."""
    histogram = values.get("histogram")
    counts = histogram["counts"] if histogram else [count for _, count in values.get("top", ())]
    return spark([count or None for count in counts], _SPARK, low=0) if counts else ""


def standing(data: Values, now: float) -> Lines:
    """What needs a person, then what was last done: materialized, audited, compared with what was served."""
    stale = [view["view"] for view in data.get("views", ()) if view.get("stale") and view.get("rows")]
    if stale:
        names = ", ".join(stale[:3]) + (f" and {len(stale) - 3} more" if len(stale) > 3 else "")
        yield Cell(f"▲ stale: {names}", "warn"), Cell("  $ box features materialize  (m)", "strong")
    last = data.get("last", {})
    yield _materialized(last.get("materialized"), now, data.get("clock") == "materialization")
    yield _audited(last.get("audited"), now)
    for endpoint, found in sorted(data.get("skew", {}).items()):
        yield _skewed(endpoint, found, now)


def _materialized(found: Values | None, now: float, replay: bool) -> tuple[Cell, ...]:
    if found is None:
        return Cell("○ nothing has been materialized yet", "muted"), Cell("  $ box features materialize  (m)", "strong")
    said = f"{sum(found.get('rows', {}).values()):,} rows of {plural(len(found.get('rows', {})), 'view')}"
    when = f"  {age(seconds(found['at']), now)} by {found.get('by', NONE)}"
    if found.get("failed"):
        return Cell(f"✗ not materialized: {', '.join(found['failed'])}", "bad"), Cell(f"  else {said}{when}", "muted")
    ages = "; ages are counted at that moment" if replay else ""
    return Cell("✓ materialized  ", "ok"), Cell(said), Cell(f"{when}{ages}", "muted")


def _audited(found: Values | None, now: float) -> tuple[Cell, ...]:
    if found is None:
        return (
            Cell("○ no training set has been audited for leaks yet", "muted"),
            Cell("  $ box features audit  (A)", "strong"),
        )
    when = Cell(f"  {age(seconds(found['at']), now)} by {found.get('by', NONE)}", "muted")
    if found.get("passed"):
        return Cell("✓ audit passed  ", "ok"), Cell(str(found.get("table"))), when
    faults = [f"{column} {kind}" for column, kind in found.get("findings", {}).items()]
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    why = f": {faults[0]}{more}" if faults else ": rows vanish, or a control did not fire"
    return Cell(f"✗ audit refused {found.get('table')}{why}", "bad"), when, Cell("  v shows the report", "muted")


def _skewed(endpoint: str, found: Values, now: float) -> tuple[Cell, ...]:
    when = Cell(f"  {age(seconds(found['at']), now)}", "muted")
    compared = f"{found.get('values', 0):,} values of {plural(found.get('predictions', 0), 'prediction')}"
    differ = sum(found.get("differences", {}).values())
    if found.get("passed") and not differ:
        return Cell(f"✓ {endpoint} served what is recomputed  ", "ok"), Cell(compared), when
    worst = ", ".join(list(found.get("differences", {}))[:2]) or "a feature service is gone"
    glyph, tone = ("✓", "ok") if found.get("passed") else ("✗", "bad")
    return Cell(f"{glyph} {endpoint} skew: {differ:,} of {compared} differ: {worst}", tone), when


def about(view: Values, shown: Values, now: float, short: bool) -> Lines:
    """What a view is: its state, how old it is, keys, source, and who takes of it; `short`: in three lines."""
    yield Cell(view["view"], "strong"), Cell("  "), state(view), Cell(f"  {_lives(view)}", "muted")
    if view["closed"]:
        yield (Cell(f"Feast refuses to serve it: {view['closed']}", "bad"),)
    rows = f"  {shown['rows']:,} rows" if shown.get("rows") is not None else ""
    ends = f", {shown['oldest'][:10]} to {shown['newest'][:10]}" if shown.get("oldest") else ""
    yield (
        Cell("source    ", "muted"),
        Cell(view["source"] or "none: computed when it is read"),
        Cell(f"{rows}{ends}", "muted"),
    )
    keys = ", ".join(f"{key['name']} {key['type'].lower()}" for key in view["keys"])
    services = (Cell("services  ", "muted"), Cell(", ".join(view["services"]) or "none takes of it"))
    if short:
        yield Cell("keys      ", "muted"), Cell(keys or NONE), Cell("   "), *services
        return
    yield Cell("keys      ", "muted"), Cell(keys or NONE)
    yield services
    if view.get("materialized_until"):
        until = view["materialized_until"][:19].replace("T", " ")
        loaded = age(seconds(view["materialized_at"]), now)
        yield Cell("online    ", "muted"), Cell(f"{view['rows']:,} rows up to {until} UTC, brought {loaded}")


def _lives(view: Values) -> str:
    lag, ttl = view.get("lag_seconds"), view["ttl_seconds"]
    return "" if lag is None else f"newest row {span(lag)} old, lives {span(ttl) if ttl else 'for ever'}"
