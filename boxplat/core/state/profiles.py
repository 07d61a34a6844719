"""What tasks used."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, fields

from boxplat.core.profile import Consumption, Peaks, Profile
from boxplat.core.state.database import Database

_COLUMNS = tuple(field.name for field in fields(Profile))


class Profiles:
    """The profile of every attempt at a task."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, found: Iterable[Profile]) -> None:
        """Keep profiles; a later one of the same attempt replaces the earlier."""
        rows = [asdict(profile) | {"asked": json.dumps(dict(profile.asked))} for profile in found]
        if not rows:
            return
        names = ", ".join(_COLUMNS)
        values = ", ".join(f":{name}" for name in _COLUMNS)
        with self._database.write() as tx:
            for row in rows:
                tx.execute(f"insert or replace into profile ({names}) values ({values})", row)

    def of(self, run_id: int) -> list[Profile]:
        """The profiles of a run in the order in which the attempts began."""
        with self._database.read() as db:
            rows = db.execute("select * from profile where run_id = ? order by started, task", (run_id,)).fetchall()
            return [_profile(row) for row in rows]

    def peaks(self, flow: str, runs: int) -> list[Peaks]:
        """What the steps of the newest runs of a flow used, the newest run first, by step.

        Args:
            flow: the class's name.
            runs: how many runs that have profiles.
        """
        with self._database.read() as db:
            rows = db.execute(
                "select run_id, step, max(memory) as memory, max(memory + inherited) as resident, max(vram) as vram, "
                "max(gpus) as gpus, max(cores) as cores, avg(case when ok then seconds end) as seconds, "
                "count(*) as attempts, max(asked) as asked from profile where run_id in (select id from run where "
                "name = ? and exists (select 1 from profile where run_id = run.id) order by id desc limit ?) "
                "group by run_id, step order by run_id desc, min(started)",
                (flow, runs),
            ).fetchall()
            return [Peaks(**{**dict(row), "asked": json.loads(row["asked"])}) for row in rows]

    def flows(self) -> list[tuple[str, str]]:
        """The class's name and the newest file of every flow that has profiles."""
        with self._database.read() as db:
            rows = db.execute(
                "select name, flow, max(id) from run where exists (select 1 from profile where run_id = run.id) "
                "group by name order by name"
            ).fetchall()
            return [(row["name"], row["flow"]) for row in rows]

    def since(self, at: float) -> list[Consumption]:
        """What the attempts that began at or after a time used, by run, the oldest run first.

        A GPU counts where it was used or asked for.
        """
        with self._database.read() as db:
            rows = db.execute(
                "select run_id, run.name as flow, sum(cpu_seconds) as cpu_seconds, "
                "sum(memory * seconds) as byte_seconds, "
                "sum(max(gpus, coalesce(json_extract(asked, '$.gpus'), 0)) * seconds) as gpu_seconds, "
                "sum(cpu_joules + gpu_joules) as joules from profile join run on run.id = run_id "
                "where profile.started >= ? group by run_id order by run_id",
                (at,),
            ).fetchall()
            return [Consumption(**dict(row)) for row in rows]


def _profile(row: sqlite3.Row) -> Profile:
    values = {name: row[name] for name in _COLUMNS}
    return Profile(**{**values, "asked": json.loads(row["asked"]), "ok": bool(row["ok"]), "exact": bool(row["exact"])})
