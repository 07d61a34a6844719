"""The line of runs, the leases and the schedules as rows of tables, and what is said of one of them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boxplat.core.model import Run
from boxplat_tui.format import NONE, age, duration, moment, size, span
from boxplat_tui.glyphs import Cell
from boxplat_tui.widgets.table import Column, Row

if TYPE_CHECKING:
    from boxplat.core.claims import Claim
    from boxplat.runs.queue import Place

LINE = (
    Column("WHO"),
    Column("STATE", 10),
    Column("CLASS", 11, from_width=86),
    Column("CORES", 5, right=True),
    Column("MEMORY", 8, right=True),
    Column("USED", 8, right=True, from_width=64),
    Column("GPU", 11, from_width=90),
    Column("SINCE", 5, right=True, from_width=100),
    Column("UNTIL", 10, right=True),
    Column("WHY", from_width=130),
)
SCHEDULES = (
    Column("STARTS BY ITSELF"),
    Column("STATE", 9),
    Column("NEXT", 8, right=True),
    Column("WHEN", 24),
    Column("LAST", 9, right=True, from_width=84),
    Column("RUN", 5, right=True, from_width=84),
)
_STATES = {
    "running": Cell("● running", "ok"),
    "starting": Cell("◐ starting", "busy"),
    "between": Cell("◑ between", "busy"),
    "waiting": Cell("◌ waiting", "warn"),
    "queued": Cell("◌ queued", "muted"),
    "held": Cell("■ held", "warn"),
}
_STARTS = {
    "on": Cell("● on", "ok"),
    "paused": Cell("■ paused", "warn"),
    "off": Cell("○ off", "muted"),
    "refused": Cell("✗ refused", "bad"),
}


def name_of(owner: str, runs: Mapping[int, Run]) -> str:
    """`run 12 TrainFlow train/3`, `delay@7`, and words for what is nobody's in particular."""
    kind, _, rest = owner.partition("/")
    if kind != "run":
        return {"box": "servers", "others": "others"}.get(owner, rest or owner)
    number, _, task = rest.partition("/")
    run = runs.get(int(number)) if number.isdecimal() else None
    return " ".join(word for word in ("run", number, run.name if run else "", task) if word)


def key_of(place: Place) -> str:
    """The owner; a run by its number, so that other screens can point at it."""
    return str(place.run) if place.owner == f"run/{place.run}" else place.owner


def keyed(places: Sequence[Place]) -> dict[str, Place]:
    """Each place by a key of its own, whose order is that of the line."""
    found: dict[str, Place] = {}
    for place in places:
        key = key_of(place)
        found[key if key not in found else f"{key} {len(found)}"] = place
    return found


class LineRows:
    """Rows of the line, each made again only where it differs: there may be thousands, every second."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[tuple[object, ...], Row]] = {}

    def of(self, places: Mapping[str, Place], runs: Mapping[int, Run], now: float) -> list[Row]:
        """A row for everything that has a lease or waits for one."""
        before, self._known = self._known, {}
        for key, place in places.items():
            times = (span(now - place.since), until(place, now))
            name = name_of(place.owner, runs)
            seen = (name, place.state, place.priority, place.claim, place.used, place.why, *times)
            known = before.get(key)
            self._known[key] = known if known and known[0] == seen else (seen, _place(key, place, name, times))
        return [row for _, row in self._known.values()]


def _place(key: str, place: Place, name: str, times: tuple[str, str]) -> Row:
    claim = place.claim
    return Row(
        key,
        (
            Cell(name, "strong"),
            _STATES.get(place.state, Cell(place.state)),
            Cell(place.priority, "muted"),
            Cell(f"{claim.cores:g}" if claim.cores else NONE),
            Cell(size(claim.memory or None)),
            Cell(size(place.used or None), "warn" if place.used > claim.memory else ""),
            Cell(gpu(claim)),
            Cell(times[0], "muted"),
            Cell(times[1]),
            Cell(place.why, "muted"),
        ),
        (
            name,
            place.state,
            place.priority,
            claim.cores,
            claim.memory,
            place.used,
            claim.gpus,
            -place.since,
            place.estimate,
            place.why,
        ),
    )


def gpu(claim: Claim) -> str:
    """`1 x 6.0 GiB`, `1 whole`, `0.5`."""
    if not claim.gpus:
        return NONE
    return f"{claim.gpus:g}" + (f" x {size(claim.vram)}" if claim.vram else " whole" if claim.gpus >= 1 else "")


def until(place: Place, now: float) -> str:
    """`ends 4m`: about when a lease ends, or what waits may start; nothing where nobody knows."""
    if place.estimate is None:
        return NONE
    word = "ends" if place.state == "running" else "starts"
    return f"{word} {span(place.estimate - now)}" if place.estimate > now else f"{word} soon"


def about(place: Place, run: Run | None, runs: Mapping[int, Run], now: float) -> Iterator[tuple[str, Cell]]:
    """Everything that is known of one place, as names and values."""
    claim = place.claim
    yield "", Cell(name_of(place.owner, runs), "strong")
    yield "state", _STATES.get(place.state, Cell(place.state))
    if place.why:
        yield "why", Cell(place.why, "warn" if place.state in ("held", "waiting") else "")
    if run is not None:
        yield "flow", Cell(run.flow)
    yield "class", Cell(place.priority)
    yield "asked", Cell(_asked(claim))
    if place.state == "running":
        on = f", {size(place.vram_used)} on its devices" if place.devices else ""
        yield "uses", Cell(f"{size(place.used)} of memory{on}")
    yield "since", Cell(f"{moment(place.since)}, {age(place.since, now)}")
    if claim.expected_seconds is not None:
        yield "takes", Cell(f"about {duration(claim.expected_seconds)}, as its last runs did")
    if place.estimate is not None:
        yield ("ends" if place.state == "running" else "starts"), Cell(f"about {moment(place.estimate)}")


def _asked(claim: Claim) -> str:
    parts = [f"{claim.cores:g} core{'s' * (claim.cores != 1)}"] if claim.cores else []
    parts += [size(claim.memory)] if claim.memory else []
    parts += [f"GPU {gpu(claim)}"] if claim.gpus else []
    return ", ".join(parts) or "nothing at the moment"


def schedules(told: Sequence[Mapping[str, Any]], problems: Sequence[Mapping[str, Any]], now: float) -> list[Row]:
    """A row for each flow that starts by itself, and for each trouble that belongs to none of them."""
    known = {one["problem"]["error"] for one in told if one["problem"]}
    loose = [(number, problem) for number, problem in enumerate(problems) if problem["error"] not in known]
    return [*(_schedule(one, now) for one in told), *(_problem(number, problem) for number, problem in loose)]


def _schedule(one: Mapping[str, Any], now: float) -> Row:
    due = NONE if one["next"] is None else f"in {span(one['next'] - now)}" if one["next"] > now else "now"
    starts = when(one)
    return Row(
        one["flow"],
        (
            Cell(one["name"], "strong"),
            _STARTS.get(one["state"], Cell(one["state"])),
            Cell(due),
            Cell(starts, "muted"),
            Cell(age(one["last"], now), "muted"),
            Cell(str(one["run"] or NONE), "muted"),
        ),
        (one["name"], one["state"], one["next"], starts, one["last"], one["run"]),
    )


def _problem(number: int, problem: Mapping[str, Any]) -> Row:
    cells = (Cell(problem["error"]), _STARTS["refused"], Cell(NONE), Cell(""), Cell(NONE), Cell(NONE))
    return Row(f"!{number}", cells, (problem["error"], "refused", None, "", None, None))


def when(one: Mapping[str, Any]) -> str:
    """`30 2 * * * UTC`, or the events that it waits for."""
    times = [f"{one['cron']} {one['zone']}".strip()] if one["cron"] else []
    return ", ".join([*times, *one["events"]]) or NONE


def about_schedule(one: Mapping[str, Any], now: float) -> Iterator[tuple[str, Cell]]:
    """Everything that is known of a flow that starts by itself, as names and values."""
    yield "", Cell(one["name"], "strong")
    yield "state", _STARTS.get(one["state"], Cell(one["state"]))
    if one["problem"]:
        yield from about_problem(one["problem"])
    yield "flow", Cell(one["flow"])
    yield "when", Cell(when(one))
    if one["next"] is not None:
        yield "next", Cell(f"{moment(one['next'])}, in {span(max(one['next'] - now, 0.0))}")
    if one["events"]:
        yield "came", Cell(", ".join(one["come"]) or "none of its events yet")
    if one["last"] is not None:
        yield "last", Cell(f"{moment(one['last'])}, run {one['run'] or NONE}")
    if one["after"]:
        yield "after", Cell(", ".join(one["after"]))
    yield (
        "missed",
        Cell({"last": "the last time is made up for", "all": "all are made up for"}.get(one["missed"], "left out")),
    )
    beside = "waits" if one["missed"] == "all" else "left out"
    yield "overlap", Cell("starts beside a run of it" if one["overlap"] else f"{beside} while a run of it is not over")


def about_problem(problem: Mapping[str, Any]) -> Iterator[tuple[str, Cell]]:
    """An error in its parts."""
    yield "what", Cell(problem["error"], "bad")
    yield "why", Cell(problem["why"])
    yield "fix", Cell(problem["fix"], "accent")
