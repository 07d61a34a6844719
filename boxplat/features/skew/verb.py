"""`box features skew`: what an endpoint served, recomputed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode, not_found
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.repository import Told, explained, folder, opened
from boxplat.features.skew import definitions
from boxplat.features.skew.report import Difference, Example, Reason, Report

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from feast import FeatureStore

    from boxplat.features.skew.causes import Cause, Changed
    from boxplat.features.skew.comparison import Sides
    from boxplat.features.skew.features import Wanted
    from boxplat.features.skew.served import Part

MOST = 1_000_000
_TABLE = "differing"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def skew(
    state: StateStore,
    paths: Paths,
    config: Config,
    endpoint: str,
    by: str,
    since: str | None = None,
    limit: int = MOST,
    told: Told = lambda line: None,
) -> Report:
    """Recompute the features that an endpoint's log says were served, as of their time, and compare.

    Args:
        since: `30m`, `1h`, `2d`, or an ISO time; predictions before it are left out.
        limit: the newest so many predictions.
        told: hears of progress.

    Raises:
        BoxError: no such endpoint, or no features in its log (exit code 9); a source that cannot be read (1).
    """
    from boxplat.features.audit.folders import scratch
    from boxplat.serving.log import asking, reading

    began, log = time.monotonic(), asking.folder_of(paths, endpoint)
    if endpoint not in config.endpoints and not log.is_dir():
        raise not_found("endpoint", endpoint, config.endpoints, "box endpoints")
    start = asking.moment(since) if since else None
    allowed = config.skew.limits.get(endpoint, config.skew.limit)
    report = Report(endpoint, allowed)
    with scratch(paths) as work, reading.opened(log, start) as con, opened(paths, config, told) as store:
        one = _Comparison(con, store, state, paths, config, endpoint, work, told)
        report = one.report(report, start, limit)
    if not report.predictions and not report.gone:
        raise _nothing(report)
    report = replace(report, seconds=round(time.monotonic() - began, 3))
    facts = {
        "endpoint": endpoint,
        "predictions": report.predictions,
        "values": report.values,
        "differences": {found.feature: found.count for found in report.differences},
        "passed": report.passed,
        "seconds": report.seconds,
        "by": by,
    }
    state.events.append("features", "features.skew", facts)
    return report


def _nothing(report: Report) -> BoxError:
    why = f"{report.silent:,} predictions, and none says its features" if report.silent else "it is empty"
    if report.unlogged:
        why = f"it has {_some(report.foreign)}; the service has {_some(report.unlogged)}, with the keys that they need"
    return BoxError(
        f"the log of {report.endpoint} has no features to compare",
        why=why,
        fix="call boxplat.serving.annotate(keys=…, features=…, ages=…, as_of=…) in the service (docs/skew.md)",
        code=ExitCode.NOT_FOUND,
    )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") or "no others"


@dataclass(frozen=True)
class _Comparison:
    """One endpoint's log and what is needed to recompute it."""

    con: DuckDBPyConnection
    store: FeatureStore
    state: StateStore
    paths: Paths
    config: Config
    endpoint: str
    work: Path
    told: Told

    def report(self, report: Report, start: datetime | None, limit: int) -> Report:
        """The report with what was found."""
        from boxplat.features.skew import served

        services = {service.name: service for service in self.store.list_feature_services()}
        report = replace(report, silent=served.without(self.con, start))
        for part in served.parts(self.con, start, limit):
            if part.service not in services:
                report = replace(report, gone={**report.gone, part.service: part.rows})
                continue
            self.told(f"recomputing {part.rows:,} predictions of {part.service}")
            report = self._with(report, part, services[part.service])
        return report

    def _with(self, report: Report, part: Part, service: Any) -> Report:
        from boxplat.features.skew import comparison, features, recomputed, served

        with explained(f"cannot recompute {part.service}", folder(self.paths, self.config)):
            wanted = features.wanted(self.con, self.store, service, served.names(self.con, part))
            report = replace(
                report,
                unlogged=(*report.unlogged, *wanted.unlogged),
                foreign=tuple(sorted({*report.foreign, *wanted.foreign})),
            )
            if not wanted.features:
                return report
            stem = f"{len(report.services)}"
            sides = comparison.Sides(
                self.work / f"{stem}-served.parquet", self.work / f"{stem}-again.parquet", self.config.skew.tolerance
            )
            rows = served.write(self.con, part, wanted, sides.served)
            recomputed.write(self.store, wanted, sides.served, sides.recomputed)
            counts = comparison.counts(self.con, sides, wanted)
            found = dict(self._causes(sides, wanted, part, {name for name, count in counts.items() if count}))
        differences = [
            Difference(name, rows, counts[name], tuple(self._reason(sides, wanted, name, one) for one in causes))
            for name, causes in found.items()
        ]
        every = sorted([*report.differences, *differences], key=lambda one: (-one.share, one.feature))
        return replace(
            report,
            predictions=report.predictions + rows,
            values=report.values + rows * len(wanted.features),
            features=report.features + len(wanted.features),
            services=(*report.services, part.service),
            releases=tuple(sorted({*report.releases, *part.releases})),
            differences=tuple(every),
        )

    def _causes(self, sides: Sides, wanted: Wanted, part: Part, names: set[str]) -> Iterator[tuple[str, list[Cause]]]:
        from boxplat.features.skew import causes, comparison, recomputed

        if not names:
            return
        self.told(f"looking for the causes in {len(names)} features")
        changed = self._changed(part)
        rows = recomputed.rows_of(self.con, self.store, wanted)
        stored = [one for one in wanted.features if one.stored and one.full in names]
        any_stored = " or ".join(f"d{one.number}" for one in stored) or "false"
        values = sides.values(stored) or "null"
        inputs = f"select n from (select n, {values} from {sides.both}) where {any_stored}"
        for view, features in wanted.views().items():
            bad = [one for one in features if one.full in names]
            if not bad:
                continue
            comparison.differing(self.con, sides, wanted, view, _TABLE)
            if view in rows:
                yield from causes.of_view(self.con, _TABLE, rows[view], wanted, bad, changed).items()
            else:
                for one in bad:
                    yield one.full, causes.of_transformation(self.con, _TABLE, one, changed, inputs)

    def _changed(self, part: Part) -> Changed:
        """By feature, the releases in whose time it was declared otherwise."""
        now = definitions.digests(self.paths, self.config, part.service)
        found: dict[str, list[int]] = {}
        for entry in self.state.record.entries(f"endpoint/{self.endpoint}", ("release.created",)):
            then: Mapping[str, str] = entry.data.get("features") or {}
            for name, digest in then.items():
                if now.get(name, digest) != digest:
                    found.setdefault(name, []).append(int(entry.data["number"]))
        return found

    def _reason(self, sides: Sides, wanted: Wanted, name: str, cause: Cause) -> Reason:
        from boxplat.features.skew import served

        first = cause.first
        logged = next(one.logged for one in wanted.features if one.full == name)
        example = Example(
            id=first["id"],
            row=first["nth"],
            time=str(_iso(first["came"])),
            as_of=str(_iso(first["moment"])),
            release=first["release"],
            served=served.text(self.con, first, logged),
            recomputed=first["recomputed"],
            served_event=_iso(first["served_event"]),
            recomputed_event=_iso(first["recomputed_event"]),
            created=_iso(first["created"]),
        )
        return Reason(cause.reason, cause.count, example)


def _iso(us: int | None) -> str | None:
    return None if us is None else (_EPOCH + timedelta(microseconds=us)).isoformat()
