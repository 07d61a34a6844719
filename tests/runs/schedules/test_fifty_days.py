"""Fifty days of a workstation's life: clocks changed, supervisors restarted, nights slept through."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from boxplat.adapters import schedules
from boxplat.core.config import StartsConfig
from tests.runs.schedules.conftest import Desk

MINUTE, HOUR, DAY = 60, 3600, 86400
# By flow: the decorator, the zone, and when the clock on the wall shows that it is due.
FLOWS = {
    "NightFlow": ('@schedule(cron="30 2 * * *", timezone="America/New_York")', "America/New_York",
                  lambda t: (t.hour, t.minute) == (2, 30)),
    "FallFlow": ('@schedule(cron="30 1 * * ? *", timezone="America/New_York")', "America/New_York",
                 lambda t: (t.hour, t.minute) == (1, 30)),
    "OfficeFlow": ('@schedule(cron="0 9 ? * 2-6 *", timezone="Europe/Berlin")', "Europe/Berlin",
                   lambda t: (t.hour, t.minute) == (9, 0) and t.isoweekday() <= 5),
    "SixFlow": ('@schedule(cron="10 */6 * * *")', "UTC", lambda t: t.hour % 6 == 0 and t.minute == 10),
    "WeeklyFlow": ("@schedule(weekly=True)", "UTC", lambda t: (t.isoweekday(), t.hour, t.minute) == (7, 0, 0)),
    "DailyFlow": ("@schedule", "UTC", lambda t: (t.hour, t.minute) == (0, 0)),
}  # fmt: skip

# Seconds by which the clock jumps. In a night the supervisor is down; a mistake is the wrong day, mended later.
TURNS = {
    "night": (7 * HOUR, 11 * HOUR),
    "suspended": (MINUTE, 60 * HOUR),
    "back": (-150 * MINUTE, -MINUTE),
    "forward": (MINUTE, 150 * MINUTE),
    "mistake": (DAY, 3 * DAY),
}


def dues(name: str, after: float, until: float) -> list[float]:
    """Minute by minute: when the clock on the wall showed it. Knows nothing of cron."""
    _, zone, shown = FLOWS[name]
    minutes = range(int(after // MINUTE) * MINUTE + MINUTE, int(until) + 1, MINUTE)
    return [float(at) for at in minutes if shown(datetime.fromtimestamp(at, ZoneInfo(zone)))]


class Oracle:
    """What should have started: of the times that passed between two looks at the clock the last, and none twice.

    Where missed ones are skipped, that is only one of the last minute.
    """

    def __init__(self, now: float, skips: bool) -> None:
        self.seen = now
        self.skips = skips
        self.decided: dict[str, set[float]] = {name: set() for name in FLOWS}
        self.expected: dict[str, list[float]] = {name: [] for name in FLOWS}

    def look(self, now: float) -> bool:
        """Whether anything was due."""
        due = False
        for name, decided in self.decided.items():
            new = dues(name, self.seen, now)
            if new and new[-1] not in decided:
                decided.add(new[-1])
                if not self.skips or now - new[-1] < MINUTE:
                    self.expected[name].append(new[-1])
                    due = True
        self.seen = now
        return due


def life(chance: random.Random) -> Iterator[tuple[str, float]]:
    """What happens next on this machine, and by how many seconds its clock moves on."""
    mistake = 0.0
    while True:
        if chance.random() < 20 / (50 * DAY / 35):
            turn = chance.choice(["restart", *TURNS])
            if turn != "mistake" or not mistake:
                jump = chance.uniform(*TURNS.get(turn, (0.0, 0.0)))
                mistake = jump if turn == "mistake" else mistake
                yield turn, jump
        elif mistake and chance.random() < 0.01:
            yield "mended", -mistake
            mistake = 0.0
        else:
            yield "", chance.uniform(20, 50)


@pytest.mark.parametrize(
    ("begin", "seed", "missed"),
    [("2026-02-20", 1, "last"), ("2026-10-10", 2, "last"), ("2026-10-10", 3, "skip")],
    ids=["spring", "autumn", "skipping"],
)
def test_fifty_days(desk: Desk, begin: str, seed: int, missed: str) -> None:
    desk.settings(**{name: StartsConfig(missed=missed) for name in FLOWS})
    desk.clock.now = start = datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp() + 17
    for name, (decorator, _, _) in FLOWS.items():
        desk.flow(name, decorator)
    desk.up()
    oracle = Oracle(desk.clock.now, missed == "skip")
    turns: Counter[str] = Counter()
    for turn, jump in life(random.Random(seed)):
        turns[turn] += 1
        desk.clock.now += jump
        if turn in ("restart", "night"):
            desk.up()
        desk.tick()
        if oracle.look(desk.clock.now):
            desk.finish()
        if desk.clock.now > start + 50 * DAY:
            break
    found: dict[str, list[float]] = {name: [] for name in FLOWS}
    for run in desk.runs():
        found[run.name].append(run.options["due"])
    assert found == oracle.expected
    assert all(len(set(fired)) == len(fired) for fired in found.values())
    assert sum(map(len, found.values())) > 300 and len(turns) >= 5


def test_on_a_quiet_machine_every_time_is_met_within_a_look(desk: Desk) -> None:
    """Without any disturbance nothing is left out, also on the days on which the clocks change."""
    for name, (decorator, _, _) in FLOWS.items():
        desk.flow(name, decorator)
    start = desk.clock.now
    desk.up()
    late: list[float] = []
    while desk.clock.now < start + 35 * DAY:
        before = len(desk.state.runs.active())
        desk.tick(30)
        if len(desk.state.runs.active()) > before:
            late += [desk.clock.now - run.options["due"] for run in desk.state.runs.active()]
            desk.finish()
    found = {name: [run.options["due"] for run in desk.runs() if run.name == name] for name in FLOWS}
    assert found == {name: dues(name, start, desk.clock.now) for name in FLOWS}
    assert max(late) < 30
    spring = datetime(2026, 3, 8, tzinfo=ZoneInfo("America/New_York")).timestamp()
    assert not [due for due in found["NightFlow"] if spring <= due < spring + DAY], "02:30 was not shown on that day"


@pytest.mark.integration
def test_the_same_files_compile_for_argo_with_the_same_times(desk: Desk) -> None:
    from boxplat.export.flows.compile import compile_flows
    from boxplat.export.flows.schedules import cron_workflow
    from boxplat.export.model import Policy

    for name in ("NightFlow", "OfficeFlow", "WeeklyFlow"):
        desk.flow(name, FLOWS[name][0])
    folder = desk.paths.root / "flows"
    policy = Policy(project="p", namespace="p", images={"flows": "boxplat/p-flows:1"}, storage="s3://boxplat-p")
    compiled, _ = compile_flows(sorted(folder.glob("*.py")), desk.paths.root, policy)
    seen = {}
    for flow in compiled:
        document = cron_workflow(
            {**flow.template, "metadata": {"namespace": "p", "labels": {}, **flow.template["metadata"]}}
        )
        assert document is not None
        spec = document["spec"]
        name = json.loads(json.dumps(flow.template))["metadata"]["annotations"]["metaflow/flow_name"]
        seen[name] = (spec["schedules"], spec.get("timezone", "UTC"))
    here = {}
    for path in sorted(folder.glob("*.py")):
        declared, starts = schedules.read(path)
        assert starts.times is not None
        here[declared.name] = ([starts.times.text], starts.times.zone)
    assert seen == here and len(seen) == 3
