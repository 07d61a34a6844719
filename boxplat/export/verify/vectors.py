"""Feature vectors of the exported feature server, against those that are online in this box."""

from __future__ import annotations

import json
import math
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.export.model import FEATURES, Document
from boxplat.export.verify.compare import DIFFERENT, EQUAL, IDENTICAL, UNCOMPARED, Finding, Served
from boxplat.export.verify.pods import Missing, Processes, World
from boxplat.export.verify.servers import Address, exchange, served

_MOST = 20
_PATH = "/get-online-features"
_NONE, _STALE = "NOT_FOUND", "OUTSIDE_MAX_AGE"
_LOCAL = "online store"
# A value with its status, for each row.
Column = Sequence[tuple[Any, str]]


def vectors(deployment: Document, paths: Paths, config: Config, world: World) -> list[Served]:
    """Ask the exported feature server for some keys of every feature service: values, and what there is none of.

    A value whose life time is over is not compared: the reader that endpoints use enforces it, Feast's server does not.
    """
    from boxplat.features import sampled

    began, host = time.monotonic(), deployment["metadata"]["name"]
    try:
        names = sampled.services(paths, config)
        if not names:
            return [uncompared("no feature service is declared")]
        with served(Processes(world, 1), deployment, world.hosts[FEATURES], host) as at:
            address = Address(*at, host)
            return [_service(name, sampled.vectors(paths, config, name, _MOST), address) for name in names]
    except (BoxError, Missing) as error:
        why = str(error) if isinstance(error, Missing) else f"{error.what}: {error.why}"
        ours = isinstance(error, BoxError) and error.code != ExitCode.CHECK_FAILED
        verdict = UNCOMPARED if ours else DIFFERENT
        return [Served("features", _LOCAL, (Finding("", "", verdict, why),), time.monotonic() - began)]


def uncompared(why: str) -> Served:
    """That there is nothing to compare, and what is missing."""
    return Served("features", _LOCAL, (Finding("", "", UNCOMPARED, why),))


def _service(name: str, rows: Sequence[Mapping[str, Any]], address: Address) -> Served:
    began = time.monotonic()
    if not rows:
        found = [Finding(name, "", UNCOMPARED, "its views have no rows in files of this machine to take keys from")]
    else:
        found = list(_compared(name, rows, address))
    return Served(f"features {name}", f"{len(rows)} rows online", tuple(found), time.monotonic() - began)


def _compared(name: str, rows: Sequence[Mapping[str, Any]], address: Address) -> Iterator[Finding]:
    entities = {key: [row["keys"][key] for row in rows] for key in rows[0]["keys"]}
    asked = {"feature_service": name, "entities": entities, "full_feature_names": True}
    status, body = exchange(address, _PATH, json.dumps(asked, default=str).encode())
    if status != 200:
        yield Finding(name, "", DIFFERENT, f"status {status}: {body[:300].decode(errors='replace')}")
        return
    yield from judged(name, rows, json.loads(body))


def judged(name: str, rows: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding for every feature of a service.

    Args:
        rows: as `reading.get` gives them.
        answer: of Feast's server, to the same keys.
    """
    theirs = _columns(answer)
    for feature in rows[0]["features"]:
        if feature not in theirs:
            yield Finding(name, feature, DIFFERENT, "the exported server does not have it")
            continue
        ours = [(row["features"][feature], row["status"][feature]) for row in rows]
        yield _feature(Finding(name, feature, DIFFERENT), ours, theirs[feature], [row["keys"] for row in rows])


def _columns(answer: Mapping[str, Any]) -> dict[str, Column]:
    names = answer["metadata"]["feature_names"]
    pairs = (list(zip(one["values"], one["statuses"], strict=True)) for one in answer["results"])
    return dict(zip(names, pairs, strict=True))


def _feature(finding: Finding, ours: Column, theirs: Column, keys: Sequence[Mapping[str, Any]]) -> Finding:
    fresh = [at for at, (_, status) in enumerate(ours) if status != _STALE]
    if not fresh:
        why = "every value is older than its life time"
        return Finding(finding.task, finding.name, UNCOMPARED, why)
    pairs = [(ours[at], theirs[at]) for at in fresh]
    if all(_same(mine, other, _exactly) for mine, other in pairs):
        return Finding(finding.task, finding.name, IDENTICAL)
    unlike = [at for at in fresh if not _same(ours[at], theirs[at], _equal)]
    if not unlike:
        return Finding(finding.task, finding.name, EQUAL)
    first = unlike[0]
    why = f"{len(unlike)} of {len(fresh)} rows: {ours[first]}, then {theirs[first]} for {dict(keys[first])}"
    return Finding(finding.task, finding.name, DIFFERENT, why)


def _same(one: tuple[Any, str], other: tuple[Any, str], same: Callable[[Any, Any], bool]) -> bool:
    """The same value; where there is none, both either know the key or do not."""
    (ours, mine), (theirs, other_status) = one, other
    return (mine == _NONE) == (other_status == _NONE) and same(ours, theirs)


def _exactly(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _equal(one: Any, other: Any) -> bool:
    """JSON has no NaN, writes a single-precision number with fewer digits, and moments and bytes as texts."""
    if _missing(one) or _missing(other):
        return _missing(one) and _missing(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, int | float) and isinstance(other, int | float):
        return bool(one == other) or _single(one) == _single(other)
    return str(one) == str(other)


def _missing(value: Any) -> bool:
    return value is None or value == "NaN" or (isinstance(value, float) and math.isnan(value))


def _single(number: float) -> bytes:
    try:
        return struct.pack("f", number)
    except OverflowError:
        return struct.pack("d", number)
