"""A comparison in words."""

from __future__ import annotations

from datetime import UTC, datetime

from boxplat.releases.comparison.compare import Comparison
from boxplat.releases.comparison.verdict import Verdict

HEADERS = ("RELEASE", "REQUESTS", "FAILED", "P50 MS", "P99 MS", "PREDICTIONS", "LABELLED", "LOSS")


def rows(found: Comparison) -> list[tuple[object, ...]]:
    """A line for each release, under `HEADERS`."""
    losses = (found.effect.older_loss, found.effect.newer_loss)
    return [
        (
            one.release,
            one.requests,
            _share(one.failed, one.requests),
            _number(one.p50_ms),
            _number(one.p99_ms),
            one.predictions,
            _share(one.labelled, one.predictions),
            _number(loss),
        )
        for one, loss in zip(found.answers, losses, strict=True)
    ]


def words(found: Comparison) -> str:
    """What it says, and how sure that is."""
    seen = found.effect
    since = datetime.fromtimestamp(found.since, UTC).isoformat(" ", "seconds")
    how = " as its shadow" if found.method == "shadow" else ""
    lines = [f"{found.endpoint}: release {found.newer} compared with {found.older}{how}, since {since}", ""]
    if seen.estimate is not None:
        lines.append(
            f"{found.loss}: {seen.estimate:+.4g}, {1 - found.level:.0%} confidence sequence {seen.low:+.4g} to "
            f"{seen.high:+.4g}, {seen.units} labelled units"
        )
    lines.append(f"release {found.newer} is {_verdict(found)}")
    lines += [f"but {problem}" for problem in found.problems]
    return "\n".join(lines)


def _verdict(found: Comparison) -> str:
    seen = found.effect
    if found.verdict is Verdict.EQUAL:
        return f"equal: the difference is within {found.margin:g}"
    if found.verdict is not Verdict.UNDECIDED:
        shrunk = "; the difference has shrunk since" if seen.low <= 0 <= seen.high else ""
        return f"{found.verdict.value} (known since unit {seen.first}{shrunk})"
    if not seen.units:
        return "not decided yet: no prediction of the two has an outcome (box outcomes add)"
    if seen.missing is None:
        return "not decided yet, and hardly ever will be at this margin"
    return f"not decided yet: about {seen.missing} more labelled units, if things go on like this"


def _share(part: int, whole: int) -> str | None:
    return f"{part / whole:.2%}" if whole else None


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
