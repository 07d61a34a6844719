"""What the prediction logs of all endpoints know: single predictions, and how many each release made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from boxplat.core.paths import Paths
from boxplat.serving.log import deletions
from boxplat.serving.log.asking import JSON, folder_of

_COUNTS = """
select release, count(*) as predictions, count(*) filter (status between 400 and 599) as failed,
    count(*) filter (shadow) as shadow, epoch(min(time)) as first, epoch(max(time)) as last
from predictions where release is not null group by release
"""
_ONE = "select * exclude (time, as_of), epoch(time) as time, epoch(as_of) as as_of from predictions where id = {id}"
_NEAR = "select id from requests order by jaro_winkler_similarity(id, {id}) desc, time desc limit 3"


@dataclass(frozen=True, slots=True)
class Counted:
    """Predictions of a release in the log; times as seconds since the epoch.

    `failed` of them were refused or failed, `shadow` of them nobody saw; `deleted` is how many more there were in files
    that are gone.
    """

    predictions: int = 0
    failed: int = 0
    shadow: int = 0
    deleted: int = 0
    first: float | None = None
    last: float | None = None


class Logs:
    """The logs of a project, each read at most once for the same question."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._counted: dict[str, dict[int, Counted]] = {}

    @cached_property
    def endpoints(self) -> list[str]:
        """Those with a log."""
        folder = folder_of(self._paths, "")
        return sorted(path.name for path in folder.glob("*/") if path.is_dir()) if folder.is_dir() else []

    def find(self, request: str, row: int | None = None) -> list[tuple[str, dict[str, Any]]]:
        """Endpoint and row of every prediction of a request (of one row of it only)."""
        found = []
        for endpoint in self.endpoints:
            sql = _ONE.format(id=_quoted(request)) + ("" if row is None else f" and row = {row}") + " order by row"
            found += [(endpoint, _decoded(one)) for one in self._ask(endpoint, sql)]
        return found

    def nearest(self, request: str) -> list[str]:
        """Ids that look like this one."""
        sql = _NEAR.format(id=_quoted(request))
        return [str(one["id"]) for endpoint in self.endpoints for one in self._ask(endpoint, sql)]

    def counted(self, endpoint: str, release: int) -> Counted:
        """How many predictions of a release there are, and were."""
        if endpoint not in self._counted:
            self._counted[endpoint] = self._count(endpoint)
        return self._counted[endpoint].get(release, Counted())

    def deleted(self) -> Mapping[str, list[deletions.Deleted]]:
        """What retention took of each log."""
        found = {endpoint: deletions.read(folder_of(self._paths, endpoint)) for endpoint in self.endpoints}
        return {endpoint: gone for endpoint, gone in found.items() if gone}

    def _count(self, endpoint: str) -> dict[int, Counted]:
        found = {int(one.pop("release")): Counted(**one) for one in self._ask(endpoint, _COUNTS)}
        for gone in deletions.read(folder_of(self._paths, endpoint)):
            for release, count in gone.releases.items():
                had = found.get(release, Counted())
                first = gone.begin if had.first is None else min(had.first, gone.begin)
                last = gone.end if had.last is None else max(had.last, gone.end)
                found[release] = replace(had, deleted=had.deleted + count, first=first, last=last)
        return found

    def _ask(self, endpoint: str, sql: str) -> list[dict[str, Any]]:
        from boxplat.serving.log import reading

        folder: Path = folder_of(self._paths, endpoint)
        return [dict(row) for row in reading.query(folder, sql).to_pylist()]


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return row | {column: json.loads(row[column]) for column in JSON if row[column] is not None}


def _quoted(text: str) -> str:
    # As the log keeps it: half a surrogate pair is no text.
    return "'" + text.encode(errors="replace").decode().replace("'", "''") + "'"
