"""Was a version trained on the future? `box features audit` of the very table that it says it was made of."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict
from importlib import metadata
from pathlib import Path

from boxplat.core import digests
from boxplat.core.config import Config
from boxplat.core.errors import BoxError
from boxplat.core.model import ModelVersion
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features.audit import Choice, Report, audit
from boxplat.features.audit.builder import FUNCTION
from boxplat.features.audit.sources import files
from boxplat.features.repository import Told
from boxplat.releases.gates.evidence import Leakage

TABLE, DIGEST, BUILD, FEATURES = "training_table", "training_digest", "training_build", "features"
"""Tags of a version: its training table (relative to the project), the first digits of its SHA-256, `module:function`
that builds its rows, and the columns that the model reads, where these are not all."""
_LEAST_DIGITS = 16
_CODE = (".py", ".yaml", ".sql")


def audited(state: StateStore, paths: Paths, config: Config, version: ModelVersion, by: str, told: Told) -> Leakage:
    """The audit of a version's training table, or why there is none."""
    named = version.tags.get(TABLE, "")
    problem = _problem(paths, config, version)
    if problem:
        return Leakage(named, problem)
    build = version.tags.get(BUILD, "") or config.audit.build
    try:
        kept = paths.state / "audits" / f"gate-{_digest(paths, config, version, build)}.json"
        before = _kept(kept)
        if before is not None:
            told(f"{named} was audited before, with the same code and sources")
            return before
        told(f"auditing {named}")
        report = audit(state, paths, config, Choice(table=str(paths.root / named), build=build), by, told)
    except BoxError as error:
        return Leakage(named, f"{named} cannot be audited: {error.what}: {error.why}")
    result = found(report, version.tags.get(FEATURES, ""), named)
    part = kept.with_suffix(f".{os.getpid()}")
    part.write_text(json.dumps(asdict(result)), encoding="utf-8")
    part.replace(kept)
    return result


def _kept(path: Path) -> Leakage | None:
    """What an earlier audit found; None where there was none, or where nothing can be read of it."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        faults = {kind: tuple(columns) for kind, columns in kept["faults"].items()}
        return Leakage(**{**kept, "faults": faults, "ignored": tuple(kept["ignored"])})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _digest(paths: Paths, config: Config, version: ModelVersion, build: str) -> str:
    """Changes with all that an audit looks at: table, code, declarations, sources, boxplat."""
    said = (metadata.version("boxplat"), version.tags[DIGEST], version.tags.get(FEATURES), build)
    result = hashlib.sha256(repr((*said, config.audit, config.sources)).encode())
    for folder in ("flows", config.features.repo):
        for path in sorted((paths.root / folder).rglob("*")):
            if path.suffix in _CODE:
                result.update(f"\0{path}\0{digests.of_file(path)}".encode())
    for name, source in config.sources.items():
        for path in files(paths.root, source.path, name):
            # Sources are large, and what replaces one has another time.
            result.update(f"\0{path}\0{path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return result.hexdigest()[:24]


def found(report: Report, features: str, table: str) -> Leakage:
    """What a report means for a model that reads `features` (comma-separated; empty: every column)."""
    read = {name.strip() for name in features.split(",") if name.strip()}
    faults: dict[str, tuple[str, ...]] = {}
    ignored = []
    for one in report.findings:
        if read and one.column not in read:
            ignored.append(one.column)
        else:
            faults[one.kind] = (*faults.get(one.kind, ()), one.column)
    return Leakage(table, "", faults, tuple(ignored), _other(report), report.file)


def _other(report: Report) -> str:
    """What makes an audit refuse beside its columns."""
    silent = [control.name for control in report.controls if not control.fired]
    parts = [f"{len(report.missing)} rows vanish when the future is hidden"] if report.missing else []
    return "; ".join(parts + [f"the audit's control did not fire: {name}" for name in silent])


def _problem(paths: Paths, config: Config, version: ModelVersion) -> str:
    """Why its training table cannot be audited, in words; empty where it can."""
    named, build = version.tags.get(TABLE, ""), version.tags.get(BUILD, "") or config.audit.build
    if not named:
        return f"the version does not say what it was trained on (its tag {TABLE})"
    path = (paths.root / named).resolve()
    if not path.is_relative_to(paths.root.resolve()):
        return f"its training table {named} does not lie in the project"
    if not path.is_file():
        return f"its training table {named} is gone"
    digest = version.tags.get(DIGEST, "")
    if len(digest) < _LEAST_DIGITS or not digests.of_file(path).startswith(digest):
        return f"{named} is not the table that it was trained on (its tag {DIGEST}: {digest[:16] or 'none'})"
    if not _is_ours(paths, build):
        return f"{build or 'nothing'} does not name a function of this project that builds {named} (its tag {BUILD})"
    return ""


def _is_ours(paths: Paths, build: str) -> bool:
    """Whether it is a function in a file of the project: whoever may write tags must not thereby run commands."""
    if not FUNCTION.fullmatch(build):
        return False
    module = Path(*build.partition(":")[0].split("."))
    places = (root / form for root in (paths.root / "flows", paths.root) for form in (module, module / "__init__"))
    return any(place.with_name(f"{place.name}.py").is_file() for place in places)
