"""What answers now, on the overview: every release that gets requests, with how it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from boxplat.core.model import Endpoint, Release, Snapshot
from boxplat_tui.format import percent, span
from boxplat_tui.glyphs import Cell
from boxplat_tui.screens.endpoint_rows import rate, state, time
from boxplat_tui.screens.rows import model_of
from boxplat_tui.widgets.table import Column, Row

if TYPE_CHECKING:
    from boxplat.releases.live import Live

Measured = Mapping[tuple[str, int], "Live"]
COLUMNS = (
    Column("LIVE RELEASE", 22),
    Column("STATE", 11),
    Column("SHARE", 6, right=True),
    Column("REQ/S", 6, right=True),
    Column("P50", 6, right=True),
    Column("P95", 6, right=True),
    Column("FAILED", 6, right=True),
    Column("SINCE", 6, right=True),
    Column("MODEL"),
)


def live(snapshot: Snapshot, measured: Measured) -> list[Row]:
    """A row a release that answers or gets copies, by `endpoint@number`."""
    return [
        _live(endpoint, release, snapshot.at, measured)
        for endpoint in snapshot.endpoints
        for release in sorted(endpoint.releases, key=lambda one: one.number)
        if endpoint.traffic.get(release.number) or release.number == endpoint.shadow
    ]


def _live(endpoint: Endpoint, release: Release, now: float, measured: Measured) -> Row:
    weight, one = endpoint.traffic.get(release.number, 0), measured.get((endpoint.name, release.number))
    failed = one.failed_share if one else None
    numbers = (one.per_second, one.p50_ms, one.p95_ms) if one else (None, None, None)
    return Row(
        f"{endpoint.name}@{release.number}",
        (
            Cell(f"{endpoint.name} #{release.number}", "strong"),
            state(endpoint, release),
            Cell("copy" if release.number == endpoint.shadow else f"{weight} %"),
            Cell(rate(numbers[0])),
            Cell(time(numbers[1])),
            Cell(time(numbers[2])),
            Cell(percent(failed), "bad" if failed else ""),
            Cell(span(now - release.created), "muted"),
            Cell(model_of(release), "muted"),
        ),
        (
            (endpoint.name, release.number),
            release.state,
            weight,
            *numbers,
            failed,
            -release.created,
            model_of(release),
        ),
    )
