"""Versions of registered models as rows, and all that is known of one as text. Pure functions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from rich.cells import cell_len, chop_cells

from boxplat.core.registry import BackEnd, Gate, Judged, Registered, Serving, Standing
from boxplat_tui.format import NONE, age, moment, plural
from boxplat_tui.glyphs import Cell
from boxplat_tui.lines import clean
from boxplat_tui.widgets.table import Column, Row

Lines = Iterator[tuple[Cell, ...]]

VERSIONS = (
    Column("MODEL", 12),
    Column("V", 4, right=True),
    Column("ALIASES", 11),
    Column("METRIC", 11, right=True),
    Column("GATES", 12),
    Column("SERVES"),
    Column("BACK END", 12, from_width=104),
    Column("RUN", 5, right=True, from_width=90),
    Column("MADE", 6, right=True, from_width=84),
)
_OUTCOMES = {"passed": Cell("✓", "ok"), "refused": Cell("✗", "bad"), "not judged": Cell(NONE, "muted")}
_VERDICTS = {"chosen": "ok", "refused": "bad", "failed": "bad"}


def versions(models: Iterable[Registered], now: float) -> list[Row]:
    """A row a version, the newest first within a model."""
    return [_version(model, one, now) for model in models for one in model.versions]


def key(model: str, version: int) -> str:
    """What a row of a version is called: `delay/3`."""
    return f"{model}/{version}"


def _version(model: Registered, one: Standing, now: float) -> Row:
    number, value = one.version.version, one.version.metrics.get(model.metric)
    verdict, places = gates(one.judged), ", ".join(serves(place) for place in one.serving)
    aliases = " ".join(one.version.aliases)
    return Row(
        key(model.name, number),
        (
            Cell(model.name, "strong"),
            Cell(str(number)),
            Cell(aliases or NONE, "accent" if aliases else "muted"),
            Cell(NONE if value is None else f"{clean(model.metric, 6)} {value:.4g}"),
            verdict,
            Cell(places or NONE, "ok" if places else "muted"),
            Cell(one.backend or NONE, "muted"),
            Cell(NONE if one.run is None else str(one.run), "muted"),
            Cell(age(one.version.created, now).removesuffix(" ago"), "muted"),
        ),
        (
            model.name,
            number,
            aliases,
            value,
            verdict.text,
            places,
            one.backend,
            one.run,
            -one.version.created,
        ),
    )


def gates(judged: Judged | None) -> Cell:
    """What became of the gates: `✓ 11 passed`, `✗ 7 of 11`, `▲ forced`."""
    if judged is None:
        return Cell(f"{NONE} not judged", "muted")
    if not judged.gates:
        return Cell("▲ forced" if judged.forced else f"{NONE} not judged", "warn" if judged.forced else "muted")
    refused = len(judged.of("refused"))
    if refused:
        return Cell(f"✗ {refused} of {len(judged.gates)}", "bad")
    return Cell(f"✓ {len(judged.of('passed'))} passed", "ok")


def serves(place: Serving) -> str:
    """`delay#2 90 %`, `delay#3 shadow`."""
    return f"{place.endpoint}#{place.release} {'shadow' if place.shadow else f'{place.weight} %'}"


def detail(
    model: Registered,
    one: Standing,
    now: float,
    width: int,
    marked: Sequence[Standing] = (),
    live: Sequence[tuple[Cell, ...]] = (),
) -> Lines:
    """All that is known of a version, in lines of at most `width` cells.

    Args:
        marked: versions whose metrics stand beside its own.
        live: the lines of time of its model.
    """
    yield from _head(model, one, now)
    yield ()
    yield from _gates(model, one.judged, now, width)
    if one.version.metrics:
        yield ()
        yield from _metrics(model, one, width, marked)
    yield ()
    yield from _backends(one, width)
    if live:
        yield ()
        yield (Cell("LIVE", "strong"),)
        yield from live
    if one.version.tags:
        yield ()
        yield from _tags(one, width)


def _head(model: Registered, one: Standing, now: float) -> Lines:
    version = one.version
    title = Cell(f"{model.name} v{version.version}", "strong")
    yield title, Cell(f"  {' '.join(version.aliases)}", "accent"), Cell(f"  {moment(version.created)}", "muted")
    if one.serving:
        places = ", ".join(serves(place) for place in one.serving)
        yield Cell("● serves  ", "ok"), Cell(places)
    else:
        was = f": it was in {', '.join(one.releases)}" if one.releases else ": it never did"
        yield Cell(f"○ serves nothing{was}", "muted"), Cell("")
    followers = {name for alias in model.aliases if alias.version == version.version for name in alias.endpoints}
    if waiting := sorted(followers - {place.endpoint for place in one.serving}):
        yield Cell(f"▲ {', '.join(waiting)} should serve it, by its alias: d deploys it", "warn"), Cell("")
    made = f"run {one.run}" if one.run is not None else "a run elsewhere" if version.source_run_id else "no run"
    yield Cell("  made by ", "muted"), Cell(made), Cell(f"  mlflow {(version.source_run_id or NONE)[:12]}", "muted")


def _gates(model: Registered, judged: Judged | None, now: float, width: int) -> Lines:
    yield Cell("GATES  ", "strong"), gates(judged), Cell(" refused" if judged and judged.of("refused") else "", "bad")
    if judged is None:
        none = "No promotion has judged it yet: p" if model.gated else "None are declared: [gates.NAME] in boxplat.toml"
        yield (Cell(none, "muted"),)
        return
    became = f"{'forced to' if judged.forced else 'moved to' if judged.moved else 'refused as'} {judged.alias}"
    yield (Cell(f"{became} by {judged.by} {age(judged.at, now)}", "warn" if judged.forced else "muted"),)
    if judged.reason:
        yield from _wrapped(judged.reason, width, "muted")
    if judged.unjudged:
        yield from _wrapped(judged.unjudged, width, "warn")
    if judged.rows:
        against = f"against v{judged.champion} on" if judged.champion is not None else "against the constant answer on"
        yield (Cell(f"{against} {plural(judged.rows, 'row')} in {plural(judged.groups, 'group')}", "muted"),)
    order = ("refused", "not judged", "passed")
    for gate in sorted(judged.gates, key=lambda gate: order.index(gate.outcome)):
        yield from _gate(gate, width)


def _gate(gate: Gate, width: int) -> Lines:
    name = clean(gate.name)
    first, *rest = _folded(gate.found, max(width - 17, 20)) or [""]
    yield _OUTCOMES[gate.outcome], Cell(f" {name:<14.14} ", "strong"), Cell(first)
    for line in rest:
        yield Cell(" " * 17), Cell(line)
    if gate.outcome == "refused":
        champion = f"; the champion: {gate.champion}" if gate.champion else ""
        for line in _folded(f"rule: {gate.rule}{champion}", max(width - 17, 20)):
            yield Cell(" " * 17), Cell(line, "muted")


def _metrics(model: Registered, one: Standing, width: int, marked: Sequence[Standing]) -> Lines:
    beside = model.beside(one)
    others = [other for other in marked if other.version != one.version] or ([beside] if beside else [])
    others = others[: max((width - 27) // 22, 1)]
    heads = "".join(f" {f'v{other.version.version}':>10} {'change':>10}" for other in others)
    yield Cell("METRICS", "strong"), Cell(f"{f'v{one.version.version}':>19}{heads}", "muted")
    for name in sorted(one.version.metrics, key=lambda name: (name != model.metric, name)):
        value = one.version.metrics[name]
        yield (
            Cell(f"{clean(name, 15):<16}", "accent" if name == model.metric else ""),
            Cell(f"{value:>10.4g}"),
            Cell("".join(_against(value, other.version.metrics.get(name)) for other in others), "muted"),
        )


def _against(value: float, other: float | None) -> str:
    return f" {NONE:>10} {'':>10}" if other is None else f" {other:>10.4g} {value - other:>+10.4g}"


def _backends(one: Standing, width: int) -> Lines:
    yield Cell("BACK ENDS  ", "strong"), Cell(one.backend or "not measured: it runs as it is. Measure: m", "muted")
    if one.backends:
        yield (Cell(f"{'':18}{'':9}{'beside eager':<17}a call (rows)", "muted"),)
    for found in one.backends:
        yield _backend(found)
        if found.reason:
            yield from _wrapped(found.reason, width, "muted", indent=2)


def _backend(found: BackEnd) -> tuple[Cell, ...]:
    speed = "" if found.ratio is None else f"{found.ratio:.2f} times"
    calls = "  ".join(f"{value:.0f} us ({rows})" for rows, value in found.microseconds.items())
    tone = _VERDICTS.get(found.verdict, "")
    return Cell(f"{found.name:<17.17} "), Cell(f"{found.verdict:<9}", tone), Cell(f"{speed:<17}"), Cell(calls, "muted")


def _tags(one: Standing, width: int) -> Lines:
    yield (Cell("TAGS", "strong"),)
    for name, value in sorted(one.version.tags.items()):
        yield Cell(f"{clean(name, 17):<18}", "muted"), Cell(clean(value, max(width - 18, 10)))


def _wrapped(text: str, width: int, tone: str, indent: int = 0) -> Lines:
    for line in _folded(text, max(width - indent, 20)):
        yield (Cell(" " * indent + line, tone),)


def _folded(text: str, width: int) -> list[str]:
    """Lines of at most `width` cells, however wild the text; no more than six of them."""
    text = clean(text)
    # Words that are twice as wide as they are long have no spaces to be folded at either.
    lines = textwrap.wrap(text, width) if cell_len(text) == len(text) else chop_cells(text, width)
    return lines if len(lines) <= 6 else [*lines[:5], "…"]
