"""A version before its gates: evidence gathered, rules applied."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode, nearest
from boxplat.core.gates import GateConfig
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.releases.gates import leakage
from boxplat.releases.gates.evidence import Evidence, HeldOut, Shown
from boxplat.releases.gates.gathering import fetched, shown
from boxplat.releases.gates.rules import judge
from boxplat.releases.gates.statistics import numbered
from boxplat.releases.gates.verdict import Judgement
from boxplat.releases.models import tracking_url
from boxplat.serving.backends.quality import METRICS

Told = Callable[[str], None]


def judged(
    state: StateStore,
    paths: Paths,
    config: Config,
    version: ModelVersion,
    champion: ModelVersion | None,
    alias: str,
    by: str,
    told: Told,
) -> Judgement:
    """Judge a version by the gates that are declared for its model.

    Args:
        champion: the version that has the alias now; None: there is none, and the constant answer takes its place.

    Raises:
        BoxError: a declared gate makes no sense (exit code 2), or the evidence cannot be gathered.
    """
    began = time.monotonic()
    said = config.gates[version.name]
    check(said, version.name, paths)
    url = tracking_url(state)
    env = child_environment(paths, config, url)
    services = {
        one.feature_service for one in config.endpoints.values() if (one.model, one.alias) == (version.name, alias)
    }
    with tempfile.TemporaryDirectory(prefix="gates-", dir=paths.state) as place:
        told(f"fetching {version.name} {' and '.join(str(one.version) for one in (version, champion) if one)}")
        scratch = Path(place)
        both = [fetched(one, url, scratch) for one in (version, champion) if one is not None]
        held_out, seen = shown(said, both, paths, env, scratch, told)
    _must_fit(said, version, seen[0])
    audit = leakage.audited(state, paths, config, version, by, told) if said.leakage else None
    evidence = Evidence(held_out, seen[0], seen[1] if champion else None, audit, tuple(sorted(filter(None, services))))
    return Judgement(
        version.name,
        version.version,
        alias,
        champion.version if champion else None,
        judge(said, evidence),
        held_out.origin,
        len(held_out.labels),
        numbered(held_out.groups)[1],
        held_out.left_out,
        _digest(held_out),
        round(time.monotonic() - began, 1),
    )


def _must_fit(said: GateConfig, version: ModelVersion, seen: Shown) -> None:
    wrong = [name for name in (said.metric, *said.require) if name != "accuracy"]
    if seen.answers.ndim == 2 and wrong:
        raise BoxError(
            f"[gates.{version.name}] asks for {', '.join(wrong)}, and the model answers with {seen.gives[0]}",
            why="of several classes only the accuracy is known",
            fix='declare metric = "accuracy" for this model',
            code=ExitCode.USAGE,
        )


def check(said: GateConfig, model: str, paths: Paths) -> None:
    """Whether the declared metrics and bars are such.

    Raises:
        BoxError: one is not (exit code 2).
    """
    for key, name in (("metric", said.metric), *(("require", name) for name in said.require)):
        if name not in METRICS:
            raise _wrong(model, paths, f"{key} names no metric {name!r}{nearest(name, METRICS)}", ", ".join(METRICS))
    for name, bar in said.require.items():
        if not _is_number(bar):
            raise _wrong(model, paths, f"require of {name} is no number: {bar!r}", "like { auc = 0.77, brier = 0.137 }")


def _wrong(model: str, paths: Paths, what: str, known: str) -> BoxError:
    fix = f"correct [gates.{model}] in {paths.config}"
    return BoxError(f"[gates.{model}] {what}", why=f"known: {known}", fix=fix, code=ExitCode.USAGE)


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _digest(rows: HeldOut) -> str:
    """First 16 digits of the SHA-256 of labels, groups and slices: the same rows have the same."""
    arrays: Mapping[str, object] = {"labels": rows.labels, "groups": rows.groups, **rows.slices}
    found = hashlib.sha256()
    for name, values in arrays.items():
        found.update(name.encode() + b"\0" + np.ascontiguousarray(values).tobytes())
    return found.hexdigest()[:16]
