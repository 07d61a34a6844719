"""The record as text: the tree that answers a why, and histories."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from boxplat.core.state.record import RUNBOOK
from boxplat.core.state.verification import Verdict
from boxplat.releases.why import Answer, History, Node
from boxplat.releases.why.history import Live
from boxplat.releases.why.telling import weights
from boxplat.render import clock, duration, table

_TIMES = frozenset({"time", "as_of", "made", "at", "started", "ended", "from", "until", "first", "last", "registered"})
_LEAST_WIDTH, _WIDTH = 60, 118
# Of a table among the facts; --json has all.
_MOST = 8


def answer(found: Answer) -> str:
    """A tree, and what is wrong with the record it was read from."""
    width = max(_LEAST_WIDTH, min(_WIDTH, shutil.get_terminal_size((_WIDTH, 24)).columns))
    lines = [*_broken(found.record), *_node(found.subject, width)]
    return "\n".join([*lines, *(f"also: box why {name}" for name in found.also)])


def _broken(record: Verdict) -> list[str]:
    if record:
        return []
    first = record.faults[0]
    more = f" (and {len(record.faults) - 1} more)" if len(record.faults) > 1 else ""
    return [f"NOT TO BE RELIED ON: {first}{more}   (box doctor; {RUNBOOK})", ""]


def _node(node: Node, width: int) -> list[str]:
    """The node's line, its facts and notes, and the nodes below it, each behind its branch."""
    entries = f"   [record {', '.join(f'#{number}' for number in node.record)}]" if node.record else ""
    role = f"{node.role}: " if node.role else ""
    title = f"{role}{node.kind} {node.name}".rstrip()
    said = [*_facts(node.facts, width - 3), *_wrapped((f"! {note}" for note in node.notes), width - 3)]
    if node.kind in ("share", "shadow"):
        return [f"{title}, {_span(node.facts)}{entries}"]
    stem = "│  " if node.below else "   "
    lines = [f"{title}{entries}", *(f"{stem}{line}" for line in said)]
    for place, child in enumerate(node.below):
        last = place == len(node.below) - 1
        first, *rest = _node(child, width - 3)
        lines += [f"{'└─' if last else '├─'} {first}", *(f"{'   ' if last else '│  '}{line}" for line in rest)]
    return lines


def _span(facts: Mapping[str, Any]) -> str:
    begin, end = facts["from"], facts["until"]
    took = f" ({duration(end - begin)})" if end else ""
    return f"{clock(begin)} to {clock(end) if end else 'now'}{took}"


def _facts(facts: Mapping[str, Any], width: int) -> list[str]:
    """Plain values one after the other, tables on lines of their own."""
    plain = [f"{_word(key)} {_value(key, value)}" for key, value in facts.items() if not isinstance(value, Mapping)]
    tables = [f"{_word(key)}: {_table(value)}" for key, value in facts.items() if isinstance(value, Mapping)]
    lines, line = [], ""
    for part in plain:
        if line and len(line) + 3 + len(part) > width:
            lines.append(line)
            line = ""
        line = f"{line} · {part}" if line else part
    return [*_wrapped([*lines, *([line] if line else [])], width), *_wrapped(tables, width)]


def _wrapped(lines: Iterable[str], width: int) -> list[str]:
    return [
        part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="  ", break_on_hyphens=False)
    ]


def _word(key: str) -> str:
    return key.replace("_", " ")


def _table(values: Mapping[str, Any]) -> str:
    shown = [f"{key}={_value(key, value)}" for key, value in list(values.items())[:_MOST]]
    more = f", … {len(values) - _MOST} more" if len(values) > _MOST else ""
    return ", ".join(shown) + more


def _value(key: str, value: Any) -> str:
    if key in _TIMES and isinstance(value, int | float):
        return clock(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return str(value)


def history(found: History) -> str:
    """What happened, what was live when, and what does not fit."""
    rows = [(told.entry.number, clock(told.at), told.what, told.entry.by, told.because) for told in found.entries]
    parts = [
        *_broken(found.record),
        table(("#", "WHEN", "WHAT", "BY", "WHY"), rows) if rows else "nothing happened yet",
    ]
    if found.live:
        parts += ["", table(("LIVE FROM", "UNTIL", "FOR", "RELEASE", "MODEL"), [_live(one) for one in found.live])]
    if found.aliases:
        parts += ["", "now: " + ", ".join(f"{alias} is version {number}" for alias, number in found.aliases.items())]
    return "\n".join([*parts, *(["", *(f"! {note}" for note in found.notes)] if found.notes else [])])


def _live(one: Live) -> tuple[object, ...]:
    period = one.period
    until = clock(period.end) if period.end else "now"
    took = duration(period.end - period.begin) if period.end else None
    models = ", ".join(f"{number} {version}" for number, version in one.versions.items())
    served = weights({f"{one.endpoint}@{number}": weight for number, weight in period.weights.items()}, period.shadow)
    return clock(period.begin), until, took, served, models
