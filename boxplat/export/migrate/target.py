"""Where a project's history goes if nobody says otherwise: to what its export names."""

from __future__ import annotations

from boxplat.core.config import Config
from boxplat.core.errors import not_found
from boxplat.export import names
from boxplat.export.migrate.model import Target


def target(
    config: Config, database: str, registry: str = "", storage: str = "", endpoint: str = "", overlay: str | None = None
) -> Target:
    """The target with the settings of the project in place of what is empty.

    Args:
        overlay: the environment whose storage is meant.

    Raises:
        BoxError: the settings know no such environment (exit code 9).
    """
    if overlay is not None and overlay not in config.overlays:
        raise not_found("overlay", overlay, config.overlays, "box config")
    own = config.overlays[overlay].storage if overlay is not None else ""
    named = f"s3://boxplat-{names.label_name(config.project.name)}"
    return Target(
        database=database,
        registry=registry,
        storage=storage or own or config.export.storage or named,
        endpoint=endpoint or config.export.storage_endpoint,
    )
