"""Register what a Feast repository declares."""

from __future__ import annotations

import io
import sys
import time
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from boxplat.core.config import Config
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.core.state import StateStore
from boxplat.features import catalog
from boxplat.features.repository import SETTINGS, Told, explained, folder, opened

if TYPE_CHECKING:
    from feast import FeatureStore
    from feast.repo_contents import RepoContents


def apply(state: StateStore, paths: Paths, config: Config, by: str, told: Told) -> list[str]:
    """Make the registry and the online store equal to the repository's definitions, as `feast apply` does.

    Returns:
        The names of all its feature views.

    Raises:
        BoxError: no repository (exit code 9), definitions that do not parse (2, with file and line), or a source that
            cannot be read (1). The registry is as it was.
    """
    began, repo = time.monotonic(), folder(paths, config)
    with opened(paths, config, told) as store:
        told(f"reading the definitions in {repo.name}")
        contents = read(store, repo)
        told(f"registering project {store.project}")
        fix = "run the flow that writes the source, then: box features apply"
        with explained(f"cannot apply {repo}", repo, fix=fix), redirect_stdout(io.StringIO()) as changes:
            from feast.repo_operations import apply_total_with_repo_instance

            apply_total_with_repo_instance(store, store.project, store.registry, contents, skip_source_validation=False)
            catalog.write(store)
        for line in filter(str.strip, changes.getvalue().splitlines()):
            told(line.strip())
    groups = (contents.feature_views, contents.on_demand_feature_views, contents.stream_feature_views)
    names = sorted(view.name for group in groups for view in group)
    facts = {
        "project": store.project,
        "views": names,
        "services": sorted(service.name for service in contents.feature_services),
        "seconds": round(time.monotonic() - began, 3),
        "by": by,
    }
    state.events.append("features", "features.applied", facts)
    return names


def read(store: FeatureStore, repo: Path) -> RepoContents:
    """What the Python files of a repository define.

    Raises:
        BoxError: they do not parse, or define another project (exit code 2).
    """
    from feast import Project
    from feast.repo_operations import parse_repo

    before = sys.dont_write_bytecode
    # Cached code is told from new by the second of its source: two quick edits would look alike.
    sys.dont_write_bytecode = True
    try:
        with explained(f"the Feast repository {repo} does not parse", repo, ExitCode.USAGE):
            contents = parse_repo(repo)
    finally:
        sys.dont_write_bytecode = before
    if not contents.projects:
        contents.projects.append(Project(name=store.project))
    others = sorted(project.name for project in contents.projects if project.name != store.project)
    if others:
        raise BoxError(
            f"{repo} defines project {others[0]!r}, but {SETTINGS} says {store.project!r}",
            why="one repository is one project",
            fix=f"make the two names equal in {repo}",
            code=ExitCode.USAGE,
        )
    return contents
