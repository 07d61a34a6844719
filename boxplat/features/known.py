"""What a repository declares, by its catalog; made by Feast where the one that is there is old."""

from __future__ import annotations

from boxplat.core.config import Config
from boxplat.core.environment import child_environment
from boxplat.core.errors import BoxError, ExitCode
from boxplat.core.paths import Paths
from boxplat.features import catalog as catalogs
from boxplat.features.catalog import Catalog, Settings
from boxplat.features.repository import environment, explained, folder, opened


def catalog(paths: Paths, config: Config) -> Catalog:
    """The newest catalog of the project's repository, whatever its online store.

    Raises:
        BoxError: no repository, or nothing applied (exit code 9); settings that cannot be read (2).
    """
    repo = folder(paths, config)
    with environment(child_environment(paths, config)):
        found, known = catalogs.load(repo), catalogs.settings(repo)
    if found is not None:
        return found
    if known is None or known.registry is None or known.registry.exists():
        with opened(paths, config, lambda _: None) as store, explained(f"cannot read the registry of {repo}", repo):
            from boxplat.features.declared import catalog_of

            return catalogs.write(store) or catalog_of(store.config, store.registry)
    raise BoxError(
        f"nothing of {repo} has been applied",
        why="there is no registry",
        fix="box features apply && box features materialize",
        code=ExitCode.NOT_FOUND,
    )


def settings(paths: Paths, config: Config) -> Settings | None:
    """What `feature_store.yaml` says; None where it has another form than the usual one."""
    repo = folder(paths, config)
    with environment(child_environment(paths, config)):
        return catalogs.settings(repo)
