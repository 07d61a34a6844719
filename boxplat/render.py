"""Objects into text: tables for people, JSON for programs. The one place that knows how things look."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.concealed import concealed
from boxplat.core.model import (
    AccessKey,
    Check,
    Endpoint,
    Event,
    Gpu,
    ModelVersion,
    Release,
    Run,
    ServiceStatus,
    Snapshot,
    Task,
)

if TYPE_CHECKING:
    from boxplat.releases.calibration import Calibration
    from boxplat.releases.live import Live

SCHEMA_VERSION = 1
_OPEN = "open: everybody on this machine may ask; with keys (box keys make NAME) nobody without one"
_COLOURS = {
    "running": "32", "succeeded": "32", "ok": "32", "live": "32",
    "starting": "33", "waiting": "33", "stopping": "33", "queued": "33", "warn": "33", "unhealthy": "33",
    "failed": "31", "fail": "31", "refused": "31", "passed": "32", "fresh": "32", "stale": "31",
}  # fmt: skip


def plain(value: Any) -> Any:
    """A value as JSON knows it: null for what is no number, or has no end."""
    if isinstance(value, Release):
        value = dataclasses.replace(value, settings=concealed(value.settings))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


def as_json(**parts: Any) -> str:
    """One object with `schema_version`, on one line where it is one line of a stream."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **plain(parts)}, indent=2, default=str)


def as_line(value: Any) -> str:
    """One object of a JSON-lines stream."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **plain(value)}, default=str)


def coloured() -> bool:
    """Colours only for a terminal that wants them (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns padded to their widest cell; a state word gets its colour."""
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(header), *(len(row[i]) for row in cells), 0) for i, header in enumerate(headers)]
    paint = coloured()
    lines = ["  ".join(header.ljust(width) for header, width in zip(headers, widths, strict=True)).rstrip()]
    for row in cells:
        padded = [_paint(cell, cell.ljust(width), paint) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    return value.value if isinstance(value, Enum) else str(value)


def _paint(word: str, padded: str, paint: bool) -> str:
    colour = _COLOURS.get(word)
    return f"\x1b[{colour}m{padded}\x1b[0m" if paint and colour else padded


def size(count: int | None) -> str | None:
    """Bytes in the unit that keeps the number short."""
    if count is None:
        return None
    for unit in ("B", "KiB"):
        if count < 1024:
            return f"{count} {unit}"
        count //= 1024
    if count < 1024:
        return f"{count} MiB"
    return f"{count / 1024:.1f} GiB" if count < 10 * 1024 else f"{count // 1024} GiB"


def duration(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    # The age of an event that is dated in the future.
    if seconds < 0:
        return f"-{duration(-seconds)}"
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} d {hours % 24:02d} h"
    return f"{hours} h {minutes:02d} m" if hours else f"{minutes} m {rest:02d} s"


def ago(at: float | None, now: float | None = None) -> str | None:
    return None if at is None else f"{duration(max(0.0, (now or time.time()) - at))} ago"


def clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def services(rows: Iterable[ServiceStatus]) -> str:
    return table(
        ("SERVICE", "STATE", "URL", "MEMORY", "RESTARTS", "SINCE", "REASON"),
        [(r.name, r.state, r.url, size(r.memory_bytes), r.restarts, ago(r.since), r.reason) for r in rows],
    )


def snapshot(shown: Snapshot) -> str:
    """The overview of `box status`."""
    there = shown.supervisor
    head = f"{shown.project}  {shown.root}"
    if there:
        head += f"\nup since {clock(there.started)} (supervisor pid {there.pid}, {size(there.memory_bytes)})"
    else:
        head += "\nnot running   (start it: box up --detach)"
    parts = [head, services(shown.services) if shown.services else "no services declared yet"]
    if shown.endpoints:
        parts.append(endpoints(shown.endpoints))
    if shown.runs:
        parts.append(runs(shown.runs[:5]))
    parts.append(gpus(shown.gpus, shown.gpu_note))
    return "\n\n".join(parts)


def rows(found: Sequence[Mapping[str, Any]]) -> str:
    """Rows of any columns."""
    return table([name.upper() for name in found[0]], [list(row.values()) for row in found])


def predictions(found: Sequence[Mapping[str, Any]]) -> str:
    """Rows of a prediction log."""
    return table(
        ("TIME", "ID", "API", "STATUS", "MS", "BATCH", "MODEL", "KEYS", "PREDICTION"),
        [
            (
                f"{row['time']:%Y-%m-%d %H:%M:%S.%f}"[:-3],
                row["id"] if row["rows"] == 1 else f"{row['id']}/{row['row']}",
                row["api"],
                row["status"],
                f"{row['seconds'] * 1000:.2f}",
                row["batch"],
                row["model_version"],
                _brief(" ".join(str(key) for key in (row["keys"] or {}).values())),
                _brief(row["output"]) if row["prediction"] is None else row["prediction"],
            )
            for row in found
        ],
    )


def runs(rows: Iterable[Run]) -> str:
    return table(
        ("RUN", "FLOW", "STATE", "CREATED", "TOOK", "ERROR"),
        [(r.id, r.flow, r.state, ago(r.created), _took(r), _brief(r.error)) for r in rows],
    )


def _took(run: Run) -> str | None:
    return duration((run.ended or time.time()) - run.started) if run.started else None


def run(one: Run, tasks: Iterable[Task]) -> str:
    """Everything about one run."""
    facts = {
        "run": f"{one.id}  {one.flow}",
        "state": f"{one.state}  {_took(one) or ''}".strip(),
        "created": clock(one.created),
        "parameters": " ".join(f"{key}={value}" for key, value in one.params.items()),
        "sweep": "sweep" in one.options and f"{one.options['sweep']}, trial {one.options['trial']}",
        "metaflow": one.pathspec,
        "mlflow run": one.tracking_run_id,
        "log": one.log,
    }
    head = "\n".join(f"{name:<11} {value}" for name, value in facts.items() if value)
    return f"{head}\n\n{_tasks(tasks)}" + (f"\n\n{one.error}" if one.error else "")


def _brief(text: str | None) -> str | None:
    lines = [line.strip() for line in (text or "").splitlines() if line.strip()]
    if not lines:
        return None
    # Our own words stand first; a traceback says what went wrong in its last line.
    return (lines[0].removeprefix("error: ") if lines[0].startswith(("error:", "the launcher")) else lines[-1])[:60]


def _tasks(rows: Iterable[Task]) -> str:
    return table(
        ("STEP", "TASK", "INDEX", "ATTEMPT", "STATE", "TOOK", "ERROR"),
        [
            (
                t.step,
                t.task,
                t.index,
                t.attempt,
                t.state,
                duration((t.ended or time.time()) - t.started),
                _brief(t.error) or (f"waits: {t.waits}" if t.waits else None),
            )
            for t in rows
        ],
    )


def endpoints(rows: Sequence[Endpoint]) -> str:
    lines: list[tuple[object, ...]] = []
    for row in rows:
        live = next((r for r in row.releases if r.number in row.traffic), None)
        model = f"{live.model} v{live.model_version}" if live and live.model else None
        traffic = " ".join(f"{number}={weight}" for number, weight in row.traffic.items())
        lines.append((row.name, row.state, row.url, row.grpc, traffic, model, row.access))
    shown = table(("ENDPOINT", "STATE", "URL", "GRPC", "RELEASE=%", "MODEL", "ACCESS"), lines)
    # Said once, where somebody could think that it is otherwise.
    anybody = any(row.access == "open" and row.url for row in rows)
    return f"{shown}\n{_OPEN}" if anybody else shown


def live(rows: Iterable[Live]) -> str:
    return table(
        ("RELEASE", "REQUESTS", "PER SECOND", "FAILED", "P50 MS", "P95 MS", "P99 MS", "BATCH", "QUEUE"),
        [
            (
                f"{row.endpoint}@{row.release}",
                row.requests,
                _number(row.per_second),
                None if row.failed_share is None else f"{row.failed_share:.2%}",
                *map(_number, (row.p50_ms, row.p95_ms, row.p99_ms, row.batch)),
                row.queue,
            )
            for row in rows
        ],
    )


def access_keys(rows: Iterable[AccessKey]) -> str:
    return table(
        ("KEY", "SCOPES", "MADE", "BY", "REVOKED"),
        [(row.name, ", ".join(row.scopes), clock(row.made), row.made_by, ago(row.revoked)) for row in rows],
    )


def freshness(rows: Iterable[Mapping[str, Any]]) -> str:
    return table(
        ("VIEW", "STATE", "NEWEST EVENT", "LAG", "TTL", "ROWS", "MATERIALIZED UNTIL"),
        [
            (
                row["view"],
                "stale" if row["stale"] else "fresh",
                _second(row["newest_event"]),
                duration(row["lag_seconds"]),
                duration(row["ttl_seconds"]),
                row["rows"],
                _second(row["materialized_until"]),
            )
            for row in rows
        ],
    )


def _second(moment: str | None) -> str | None:
    """An ISO time in UTC, to the second."""
    return moment and f"{moment[:19]}Z"


def models(rows: Iterable[ModelVersion]) -> str:
    shown = list(rows)
    lines = [
        (v.name, v.version, " ".join(v.aliases), v.tags.get("boxplat.backend"), ago(v.created), v.source_run_id)
        for v in shown
    ]
    text = table(("MODEL", "VERSION", "ALIASES", "BACK END", "CREATED", "MLFLOW RUN"), lines)
    measured = [version for version in shown if version.metrics]
    names = sorted({name for version in measured for name in version.metrics})
    if not names:
        return text
    numbers = [(name, *(_number(version.metrics.get(name)) for version in measured)) for name in names]
    return f"{text}\n\n{table(('METRIC', *(f'v{version.version}' for version in measured)), numbers)}"


def calibration(found: Calibration) -> str:
    """Every back end with its figures, what became of it and why."""
    sizes = [str(size) for size in found.choice.batches]
    metrics = list(dict.fromkeys(name for row in found.results for name in row.quality))
    heads = ("BACK END", *(f"us, {size} row{'s' * (size != '1')}" for size in sizes), "TIME", "FIRST s", "MiB", "DIFF")
    lines = [
        (
            row.backend,
            *(_number(row.microseconds.get(size), ".0f") for size in sizes),
            None if row.ratio is None else f"{row.ratio:.2f}",
            None if row.first_seconds is None else f"{(row.load_seconds or 0) + row.first_seconds:.1f}",
            _number(row.memory_mib, ".0f"),
            None if row.difference is None else f"{row.difference:.2g}",
            *(_number(row.quality.get(name)) for name in metrics),
            row.verdict + (f": {row.reason}" if row.reason else ""),
        )
        for row in found.results
    ]
    text = table((*heads, *(name.upper() for name in metrics), "VERDICT"), lines)
    where = "recorded on" if found.recorded else "not recorded on"
    return f"{text}\n\n{found.choice.backend}: {where} {found.name} version {found.version}"


def _number(value: float | None, form: str = ".4g") -> str | None:
    return None if value is None else format(value, form)


def gpus(rows: Sequence[Gpu], note: str) -> str:
    if not rows:
        return f"GPU: {note}"
    lines: list[tuple[object, ...]] = []
    for gpu in rows:
        used = f"{size(gpu.memory_used)} of {size(gpu.memory_total)}"
        power = None if gpu.power is None else f"{gpu.power:.0f} of {gpu.power_limit or 0:.0f} W"
        util = None if gpu.utilisation is None else f"{gpu.utilisation} %"
        heat = None if gpu.temperature is None else f"{gpu.temperature} °C"
        owners = ", ".join(f"{p.name}[{p.pid}] {size(p.memory_bytes) or '?'}" for p in gpu.processes)
        lines.append((gpu.index, gpu.name, util, used, power, heat, owners))
    text = table(("GPU", "NAME", "USE", "MEMORY", "POWER", "TEMP", "PROCESSES"), lines)
    return f"{text}\n{note}" if note else text


def events(rows: Iterable[Event]) -> str:
    return "\n".join(event_line(row) for row in rows)


def event_line(row: Event) -> str:
    data = " ".join(f"{key}={value}" for key, value in row.data.items() if value not in (None, "", {}))
    line = f"{row.id:>6}  {clock(row.at)}  {row.subject:<14} {row.kind:<24} {data}"
    return line[: shutil.get_terminal_size().columns] if sys.stdout.isatty() else line


def checks(rows: Sequence[Check]) -> str:
    """Grouped findings, each with its fix where there is one."""
    marks = {"ok": "✓", "warn": "!", "fail": "✗", "skip": "-"}
    lines, group, paint = [], "", coloured()
    for row in rows:
        if row.group != group:
            group = row.group
            lines.append(f"{group}")
        mark = _paint(row.state, marks[row.state], paint)
        lines.append(f"  {mark} {row.state:<4} {row.id:<12} {row.title}: {row.detail}")
        if row.fix and row.state in ("warn", "fail"):
            lines.append(f"         fix: {row.fix}")
    bad = sum(row.state == "fail" for row in rows)
    lines.append(f"{bad} to mend, {sum(row.state == 'warn' for row in rows)} to look at, of {len(rows)}")
    return "\n".join(lines)


def settings(rows: Mapping[str, tuple[object, str]], origin: bool) -> str:
    if origin:
        return table(("KEY", "VALUE", "FROM"), [(key, value, source) for key, (value, source) in rows.items()])
    return table(("KEY", "VALUE"), [(key, value) for key, (value, _) in rows.items()])
