"""Checks of the project: settings, flows, feature repository, Bentos. Files are parsed, never run."""

from __future__ import annotations

import ast
from pathlib import Path

import yaml

from boxplat.core.config import load
from boxplat.core.errors import BoxError
from boxplat.doctor.probe import Finding, Probe, Site, fail, ok, skip, warn


def settings(site: Site) -> Finding:
    paths = site.project
    try:
        load(paths.config, site.environ)
    except BoxError as error:
        return fail(f"{error.what}: {error.why}", error.fix)
    return ok(f"{paths.config.name} is understood")


def flows(site: Site) -> Finding:
    folder = site.project.root / "flows"
    sources = sorted(folder.rglob("*.py"))
    if not sources:
        return warn(f"no flows in {folder}", f"${{EDITOR:-vi}} {folder}/first.py   (see docs/flows.md)")
    broken = errors(sources)
    if broken:
        return fail("; ".join(broken), f"python -m py_compile {broken[0].split(':')[0]}")
    return ok(f"{len(sources)} files parse")


def errors(sources: list[Path]) -> list[str]:
    """`file:line: message` for each source that Python cannot parse."""
    found = []
    for source in sources:
        try:
            ast.parse(source.read_bytes(), filename=str(source))
        except (SyntaxError, ValueError) as error:
            found.append(f"{source}:{getattr(error, 'lineno', None) or 1}: {getattr(error, 'msg', None) or error}")
    return found


def feature_repo(site: Site) -> Finding:
    name = site.config.features.repo if site.config else "feature_repo"
    folder = site.project.root / name
    store = folder / "feature_store.yaml"
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return skip(f"nothing in {name}: this project has no features")
    if not store.is_file():
        return fail(f"{store} is missing", f"${{EDITOR:-vi}} {store}   (see docs/features.md)")
    try:
        tree = yaml.safe_load(store.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return fail(f"{store} is no YAML: {' '.join(str(error).split())}", f"${{EDITOR:-vi}} {store}")
    absent = [key for key in ("project", "registry", "provider") if not isinstance(tree, dict) or key not in tree]
    if absent:
        return fail(f"{store} lacks {', '.join(absent)}", f"${{EDITOR:-vi}} {store}   (see docs/features.md)")
    broken = errors(sorted(folder.glob("*.py")))
    if broken:
        return fail("; ".join(broken), f"python -m py_compile {broken[0].split(':')[0]}")
    return ok(f"{store.relative_to(site.project.root)} and its definitions parse")


def bentos(site: Site) -> Finding:
    root = site.project.root
    declared = (
        {endpoint.bento for endpoint in site.config.endpoints.values() if endpoint.bento} if site.config else set()
    )
    folders = sorted(
        {root / name for name in declared} | {path for path in (root / "bentos").glob("*/") if _plain(path)}
    )
    if not folders:
        return skip("no endpoint is declared and bentos/ is empty")
    missing = [str(folder) for folder in folders if not (folder / "service.py").is_file()]
    if missing:
        return fail(f"no service.py in {', '.join(missing)}", f"${{EDITOR:-vi}} {missing[0]}/service.py")
    broken = errors([folder / "service.py" for folder in folders])
    if broken:
        return fail("; ".join(broken), f"python -m py_compile {broken[0].split(':')[0]}")
    return ok(f"{len(folders)} with a service.py that parses")


def _plain(folder: Path) -> bool:
    return folder.is_dir() and not folder.name.startswith((".", "__"))


PROBES = (
    Probe("BOX-PRJ-01", "settings", settings, needs_project=True),
    Probe("BOX-PRJ-02", "flows", flows, needs_project=True),
    Probe("BOX-PRJ-03", "feature repository", feature_repo, needs_project=True),
    Probe("BOX-PRJ-04", "Bentos", bentos, needs_project=True),
)
