"""Endpoints and their releases as rows and lines. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from boxplat.core.model import Endpoint, Release, ServiceStatus, Snapshot, State
from boxplat.core.replicas import Replica
from boxplat_tui.format import NONE, age, clock, figure, percent, size, span
from boxplat_tui.glyphs import Cell, service_state
from boxplat_tui.pulse import Pulse, Which
from boxplat_tui.screens.rows import model_of, traffic
from boxplat_tui.widgets.plots import spark
from boxplat_tui.widgets.table import Column, Row

if TYPE_CHECKING:
    from boxplat.releases.live import Live

Cells = tuple[Cell, ...]
ENDPOINTS = (
    Column("ENDPOINT", 12),
    Column("STATE", 11),
    Column("TRAFFIC", 16),
    Column("REQ/S", 6, right=True),
    Column("MODEL", 12, from_width=100),
    Column("URL"),
)
RELEASES = (
    Column("REL", 4),
    Column("STATE", 9),
    Column("SHARE", 5, right=True),
    Column("REQ/S", 5, right=True),
    Column("P50", 5, right=True),
    Column("P95", 5, right=True),
    Column("P99", 5, right=True),
    Column("FAILED", 6, right=True),
    Column("BATCH", 5, right=True),
    Column("QUEUE", 5, right=True),
    Column("MODEL", 12, from_width=95),
    Column("MEMORY", 8, right=True, from_width=106),
    Column("AGE", 4, right=True, from_width=114),
    Column("BY", 0, from_width=130),
)
_STATES = {"live": ("●", "ok"), "shadow": ("◐", "busy"), "failed": ("✗", "bad"), "created": ("◌", "muted")}


def rate(value: float | None) -> str:
    """Requests a second in at most 5 characters: `0`, `0.3`, `12.4`, `1.2k`."""
    if value is None:
        return NONE
    if value < 99.95:
        return "0" if value == 0 else "<0.1" if value < 0.05 else f"{value:.1f}"
    if value < 1000:
        return f"{value:.0f}"
    return f"{value / 1000:.1f}k" if value < 99_950 else f"{value / 1000:.0f}k"


def time(milliseconds: float | None) -> str:
    """A time in at most 5 characters: `<1ms`, `45ms`, `1.2s`."""
    if milliseconds is None:
        return NONE
    if milliseconds < 1:
        return "<1ms"
    return f"{milliseconds:.0f}ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f}s"


def endpoints(snapshot: Snapshot, pulse: Pulse) -> list[Row]:
    """A row an endpoint; requests a second are those that somebody got an answer to."""
    return [_endpoint(endpoint, pulse) for endpoint in snapshot.endpoints]


def _endpoint(endpoint: Endpoint, pulse: Pulse) -> Row:
    live = next((release for release in endpoint.releases if endpoint.traffic.get(release.number)), None)
    model = model_of(live) if live else NONE
    seen = [one.per_second for which, one in pulse.now.items() if which[0] == endpoint.name and answers(endpoint, one)]
    asked = [one for one in seen if one is not None]
    shared = traffic(endpoint) or NONE
    return Row(
        endpoint.name,
        (
            Cell(endpoint.name, "strong"),
            service_state(endpoint.state),
            Cell(shared),
            Cell(rate(sum(asked) if asked else None)),
            Cell(model),
            Cell(endpoint.url or endpoint.reason or NONE, "" if endpoint.url else "muted"),
        ),
        (endpoint.name, endpoint.state, shared, sum(asked), model, endpoint.url),
    )


def answers(endpoint: Endpoint, one: Live) -> bool:
    """Whether a release answers its callers: a shadow does not."""
    return one.release != endpoint.shadow


def releases(endpoint: Endpoint, snapshot: Snapshot, pulse: Pulse) -> list[Row]:
    """A row a release: those that get requests first, then the newest."""

    def place(release: Release) -> tuple[bool, int]:
        used = endpoint.traffic.get(release.number, 0) > 0 or release.number == endpoint.shadow
        return not used, -release.number

    running = processes(snapshot)
    return [
        _release(endpoint, release, memory(running.get((endpoint.name, release.number), ())), snapshot.at, pulse)
        for release in sorted(endpoint.releases, key=place)
    ]


def _release(endpoint: Endpoint, release: Release, held: int | None, now: float, pulse: Pulse) -> Row:
    weight, one = endpoint.traffic.get(release.number, 0), pulse.now.get((endpoint.name, release.number))
    failed = one.failed_share if one else None
    numbers = (one.per_second, one.p50_ms, one.p95_ms, one.p99_ms) if one else (None,) * 4
    queue, batch = (one.queue, one.batch) if one else (None, None)
    return Row(
        str(release.number),
        (
            Cell(f"#{release.number}", "strong"),
            state(endpoint, release),
            Cell("copy" if release.number == endpoint.shadow else f"{weight} %", "" if weight else "muted"),
            Cell(rate(numbers[0])),
            *(Cell(time(number)) for number in numbers[1:]),
            Cell(percent(failed), "bad" if failed else ""),
            Cell(NONE if batch is None else f"{batch:.1f}"),
            Cell(NONE if queue is None else str(queue), "warn" if queue and one and one.waiting else ""),
            Cell(model_of(release)),
            Cell(size(held) if held else NONE, "muted"),
            Cell(span(now - release.created), "muted"),
            Cell(release.created_by, "muted"),
        ),
        (
            release.number,
            release.state,
            weight,
            *numbers,
            failed,
            batch,
            queue,
            model_of(release),
            held,
            -release.created,
            release.created_by,
        ),
    )


def state(endpoint: Endpoint, release: Release) -> Cell:
    """`● live`, `◐ shadow`, `○ retired`."""
    glyph, tone = _STATES.get(release.state, ("○", "muted"))
    return Cell(f"{glyph} {release.state}", tone)


def processes(snapshot: Snapshot) -> dict[Which, list[ServiceStatus]]:
    """The processes of each release that has any, by endpoint and number."""
    found: dict[Which, list[ServiceStatus]] = {}
    for service in snapshot.services:
        if which := Replica.of(service.name):
            found.setdefault((which.endpoint, which.release), []).append(service)
    return found


def memory(rows: Iterable[ServiceStatus]) -> int | None:
    """What processes hold; None where none runs."""
    held = [row.memory_bytes for row in rows if row.memory_bytes is not None]
    return sum(held) if held else None


def about(endpoint: Endpoint) -> Cells:
    """The endpoint in one line: who may ask, the other address, and what is wrong."""
    door = "open to everybody on this machine" if endpoint.access == "open" else "only with a key"
    parts = [Cell(endpoint.name, "strong"), Cell(f"  {door}", "muted")]
    if endpoint.grpc:
        parts.append(Cell(f"  gRPC {endpoint.grpc}", "muted"))
    if endpoint.shadow is not None:
        parts.append(Cell(f"  #{endpoint.shadow} gets a copy of each request", "busy"))
    if endpoint.reason and endpoint.state is not State.RUNNING:
        parts.append(Cell(f"  {endpoint.reason}", "warn"))
    return tuple(parts)


def brief(endpoint: Endpoint, release: Release, snapshot: Snapshot) -> Cells:
    """A release in one line, where there is no room for more."""
    held = memory(processes(snapshot).get((endpoint.name, release.number), ()))
    facts = [model_of(release), release.feature_service, size(held) if held else None]
    told = "  ".join(fact for fact in (*facts, age(release.created, snapshot.at), f"by {release.created_by}") if fact)
    return (Cell(f"#{release.number}", "strong"), Cell(f"  {told}", "muted"))


def detail(endpoint: Endpoint, release: Release, snapshot: Snapshot, pulse: Pulse, width: int) -> Iterator[Cells]:
    """All that is known of a release, a line each."""
    which = (endpoint.name, release.number)
    yield (Cell(f"{endpoint.name}@{release.number}", "strong"), Cell("  "), state(endpoint, release))
    yield ()
    running = processes(snapshot).get(which, [])
    facts = (
        ("model", model_of(release)),
        ("features", release.feature_service or NONE),
        ("bento", release.bento),
        ("environment", release.environment.removeprefix("sha256:")[:16]),
        ("made", f"{age(release.created, snapshot.at)} by {release.created_by}"),
        ("tracking run", (release.run or NONE)[:12]),
        ("processes", ", ".join(row.name for row in running) or "none"),
        ("memory", size(memory(running))),
    )
    yield from ((Cell(f"{name:<13}", "muted"), Cell(value)) for name, value in facts)
    yield ()
    yield from graphs(endpoint, release, pulse, width)


def graphs(endpoint: Endpoint, release: Release, pulse: Pulse, width: int) -> Iterator[Cells]:
    """What a release does now and did in the last two minutes; nothing where it does not run."""
    which = (endpoint.name, release.number)
    one = pulse.now.get(which)
    if one is None:
        return
    room = max(width - 22, 8)
    for label, values, tone, last in (
        ("requests/s", pulse.rates.get(which, ()), "busy", rate(one.latest)),
        ("99 % within", pulse.times.get(which, ()), "accent", time(one.p99_ms)),
    ):
        drawn = spark([*values][-room:], room, low=0)
        yield (Cell(f"{label:<13}", "muted"), Cell(f"{drawn:>{room}}", tone), Cell(f" {last:>5}"))
    counts = ((one.failed, "failed"), (one.refused, "refused"), (one.retries, "retried"))
    said = ", ".join(f"{count:,} {what}" for count, what in counts if count) or "none failed"
    told = f"{one.requests:,} in {one.seconds:.0f} s, {said}"
    yield (Cell(f"{'answers':<13}", "muted"), Cell(told, "bad" if one.failed else ""))


COMPARED = (
    Column("RELEASE", 8),
    Column("REQUESTS", 9, right=True),
    Column("FAILED", 8, right=True),
    Column("P50", 6, right=True),
    Column("P99", 6, right=True),
    Column("PREDICTIONS", 11, right=True),
    Column("LABELLED", 9, right=True),
    Column("LOSS", 8, right=True),
)


def compared(found: Mapping[str, Any]) -> list[Row]:
    """The two releases of a comparison, as `box compare --json` gives it."""
    effect = found.get("effect", {})
    losses = (effect.get("older_loss"), effect.get("newer_loss"))
    return [_compared(one, loss) for one, loss in zip(found.get("answers", ()), losses, strict=False)]


def _compared(one: Mapping[str, Any], loss: float | None) -> Row:
    values = (
        one["release"], one["requests"], one["failed"], one["p50_ms"], one["p99_ms"],
        one["predictions"], one["labelled"], loss,
    )  # fmt: skip
    texts = (f"#{values[0]}", f"{values[1]:,}", f"{values[2]:,}", time(values[3]), time(values[4]))
    counts = (f"{values[5]:,}", f"{values[6]:,}", figure(loss))
    return Row(str(one["release"]), tuple(Cell(text) for text in (*texts, *counts)), values)


PREDICTIONS = (
    Column("TIME", 8),
    Column("REL", 4),
    Column("STATUS", 6, right=True),
    Column("TOOK", 6, right=True),
    Column("PREDICTION", 12, right=True),
    Column("KEYS"),
    Column("ID", 36, from_width=125),
)


def predictions(found: Sequence[Mapping[str, Any]]) -> list[Row]:
    """The newest predictions first, as `box predictions --json` gives them."""
    return [_prediction(number, one) for number, one in enumerate(reversed(found))]


def _prediction(number: int, one: Mapping[str, Any]) -> Row:
    at, status, seconds = datetime.fromisoformat(one["time"]).timestamp(), one["status"], one["seconds"]
    keys = " ".join(f"{key}={value}" for key, value in (one["keys"] or {}).items()) or NONE
    told = one["problem"] or keys
    value = one["prediction"]
    shown = figure(value) if isinstance(value, int | float) else str(NONE if value is None else value)
    shadow = "s" if one.get("shadow") else ""
    milliseconds = None if seconds is None else 1000 * seconds
    return Row(
        f"{one['id']}/{one['row']}/{number}",
        (
            Cell(clock(at), "muted"),
            Cell(f"#{one['release']}{shadow}"),
            Cell(str(status), "bad" if status >= 500 else "warn" if status >= 400 else "ok"),
            Cell(time(milliseconds)),
            Cell(shown, "strong"),
            Cell(told, "bad" if one["problem"] else "muted"),
            Cell(str(one["id"]), "muted"),
        ),
        (at, one["release"], status, milliseconds, shown, told, one["id"]),
    )
